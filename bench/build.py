"""Installs the rivals that Debian packages; builds ours (ninja) and theirs (plain compilers)."""

import os
import shutil
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent
PACKAGES = {
    'g++': 'g++',
    'libboost-context-dev': 'boost/context/fiber.hpp',
    'libboost-fiber-dev': 'boost/fiber/all.hpp',
    'libst-dev': 'st.h',
    'libpth-dev': 'pth.h',
    'libuv1-dev': 'uv.h',
    'golang-go': 'go',
    'librust-tokio-dev': '/usr/share/cargo/registry',
    'cargo': 'cargo',
    'rustc': 'rustc',
    'strace': 'strace',
    'liburing-dev': 'liburing.h',
    'nginx-light': 'nginx',
    'wrk': 'wrk',
    'nghttp2-client': 'h2load',
}
C_FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-g', '-Wall', '-Wextra', f'-I{BENCH}']
CC_FLAGS = ['-std=c++17', '-O2', '-g', '-DNDEBUG', '-Wall', '-Wextra', f'-I{BENCH}']


def say(text):
    print(text, flush=True)


def installed(package):
    status = subprocess.run(
        ['dpkg-query', '-W', '-f', '${db:Status-Abbrev}${Version}', package],
        capture_output=True, text=True)
    return status.stdout[3:].strip() if status.stdout.startswith('ii') else ''


def provide():
    """Returns {package: version or ''} once everything that can be installed is."""
    if not shutil.which('dpkg-query'):
        return {p: 'here' if shutil.which(w) or Path('/usr/include', w).exists() else ''
                for p, w in PACKAGES.items()}
    missing = [p for p in PACKAGES if not installed(p)]
    if missing and os.geteuid() == 0 and shutil.which('apt-get'):
        say(f'Installing: {" ".join(missing)}')
        install(missing)
    elif missing:
        say('Not installed (as root: apt-get install --no-install-recommends '
            f'{" ".join(missing)})')
    return {p: installed(p) for p in PACKAGES}


def install(packages):
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    apt = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends']
    quiet = dict(env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if subprocess.run(apt + packages, **quiet).returncode == 0:
        return
    subprocess.run(['apt-get', 'update', '-qq'], **quiet)
    if subprocess.run(apt + packages, **quiet).returncode == 0:
        return
    for package in packages:
        if subprocess.run(apt + [package], **quiet).returncode:
            say(f'apt-get could not install {package}')


def build_ours(build):
    if not (build / 'build.ninja').exists():
        run(['meson', 'setup', str(build), str(BENCH.parent), '-Dbench=true', '-Dtests=false',
             '-Dexamples=false'])
    run(['ninja', '-C', str(build)])


def run(command, **more):
    """Runs it; its output appears only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **more)
    if done.returncode:
        say(done.stdout[-4000:])
        raise SystemExit(f'bench: {command[0]} failed')


def try_run(command, target, **more):
    """A rival that does not build is missing; it does not keep the others from running."""
    try:
        run(command, **more)
    except (SystemExit, OSError) as error:
        target.unlink(missing_ok=True)
        say(f'{target.name} could not be built and is left out ({error})')


def newer(target, sources):
    return target.exists() and all(s.stat().st_mtime <= target.stat().st_mtime for s in sources)


def compile_one(out, name, compiler, flags, libraries, objects):
    source = next(BENCH.glob(f'rivals/{name}.c*'))
    target = out / name
    shared = [h for folder in ('.', 'echo', 'rivals') for h in BENCH.glob(f'{folder}/*.h')]
    if not newer(target, [source, *shared, *objects]):
        try_run([compiler, *flags, str(source), *map(str, objects), '-o', str(target), *libraries],
                target)


def support(out):
    objects = []
    for name in ('bench', 'measure'):
        target = out / f'{name}.o'
        source = BENCH / f'{name}.c'
        if not newer(target, [source, BENCH / 'bench.h']):
            run(['gcc', *C_FLAGS, '-c', str(source), '-o', str(target)])
        objects.append(target)
    return objects


BOOST = ['-lboost_fiber', '-lboost_context', '-lpthread']
IN_C = [
    # name, package that it needs, libraries
    ('switch_ucontext', '', []),
    ('state_threads', 'libst-dev', ['-lst']),
    ('st_mutex', 'libst-dev', ['-lst']),
    ('pth', 'libpth-dev', ['-lpth']),
    ('gen_machine', '', []),
    ('machine_rows', '', []),
    ('machine_chan', '', []),
    ('machine_switch', '', []),
    ('machine_tree', '', []),
    ('threads_rows', '', ['-lpthread']),
    ('echo_epoll', '', []),
    ('echo_threads', '', ['-lpthread']),
    ('echo_uring', 'liburing-dev', ['-luring']),
    ('echo_uv', 'libuv1-dev', ['-luv']),
    ('echo_st', 'libst-dev', ['-lst']),
    ('delay_epoll', '', []),
    ('delay_threads', '', ['-lpthread']),
]
IN_CC = [
    ('switch_fcontext', 'libboost-context-dev', ['-lboost_context']),
    ('switch_boost', 'libboost-context-dev', ['-lboost_context']),
    ('boost_fiber', 'libboost-fiber-dev', BOOST),
    ('boost_tree', 'libboost-fiber-dev', BOOST),
    ('boost_mutex', 'libboost-fiber-dev', BOOST),
    ('boost_chan', 'libboost-fiber-dev', BOOST),
    ('boost_depth', 'libboost-fiber-dev', BOOST),
    ('gen_boost', 'libboost-context-dev', ['-lboost_context']),
    ('gen_cxx20', 'g++', []),
    ('cxx20_rows', 'g++', []),
    ('cxx20_chan', 'g++', []),
    ('cxx20_switch', 'g++', []),
    ('cxx20_tree', 'g++', []),
    ('echo_cxx20', 'g++', []),
    ('delay_cxx20', 'g++', []),
]
ALONE = ('echo_', 'delay_')  # programs of their own: no rows


def build_rivals(build, have):
    out = (build / 'rivals').resolve()
    out.mkdir(parents=True, exist_ok=True)
    objects = support(out)
    for name, package, libraries in IN_C:
        if not package or have[package]:
            compile_one(out, name, 'gcc', C_FLAGS, libraries,
                        [] if name.startswith(ALONE) else objects)
    for name, package, libraries in IN_CC:
        if have['g++'] and have[package]:
            standard = ['-std=c++20'] if 'cxx20' in name else []
            compile_one(out, name, 'g++', CC_FLAGS + standard, libraries,
                        [] if name.startswith(ALONE) else objects)
    if have['golang-go']:
        build_go(out)
    if have['librust-tokio-dev'] and have['cargo'] and have['rustc']:
        build_tokio(out)
    return out


def build_go(out):
    environment = dict(os.environ, GOCACHE=str(out / 'go-cache'), GOPROXY='off', GOFLAGS='')
    for name in ('go', 'go-echo', 'go-http', 'go-delay'):
        try_run(['/usr/bin/go', 'build', '-o', str(out / name), '.'], out / name,
                cwd=BENCH / 'rivals' / name, env=environment)


def build_tokio(out):
    """Cargo writes a lock file beside the manifest, so it gets a copy of the sources."""
    sources = out / 'tokio-source'
    shutil.copytree(BENCH / 'rivals/tokio', sources, dirs_exist_ok=True)
    environment = dict(os.environ, CARGO_TARGET_DIR=str(out / 'tokio'), RUSTC='/usr/bin/rustc',
                       CARGO_HOME=str(out / 'cargo-home'))
    try_run(['/usr/bin/cargo', 'build', '--release', '--offline', '--quiet'],
            out / 'tokio/release/tokio-rows', cwd=sources, env=environment)
    for name in ('tokio-rows', 'tokio-echo', 'tokio-delay'):
        target = out / name
        if not target.is_symlink():
            target.symlink_to(Path('tokio/release') / name)
