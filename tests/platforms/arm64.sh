# arm64.sh - AArch64 on another machine: cross-built, run under qemu-user, with and without protected
# branches, and on a real kernel in an emulated machine. Sourced by run, after rows.sh.
#
# Debian's arm64 packages are unpacked into build/arm64/sysroot. apt resolves and fetches them with a
# state of its own, so nothing of this machine changes, and only the tools need root.
# shellcheck shell=bash

arm64=$PWD/build/arm64
arm64_libraries="libcriterion-dev libffi-dev libc6 libc6-dev libstdc++6 busybox-static dash"
# pauth-impdef: a signature that is cheap to emulate.
arm64_cpu=max,pauth-impdef=on

arm64_tools() {
	missing=()
	have aarch64-linux-gnu-gcc || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
	have aarch64-linux-gnu-g++ || missing+=(g++-aarch64-linux-gnu)
	have qemu-aarch64 || missing+=(qemu-user)
	have qemu-system-aarch64 || missing+=(qemu-system-arm)
	have gdb-multiarch || missing+=(gdb-multiarch)
}

arm64_apt() {
	local tool=$1
	shift
	"$tool" -c "$arm64/apt/conf" "$@" >>"$arm64/apt.log" 2>&1
}

arm64_state() {
	mkdir -p "$arm64/apt/lists/partial" "$arm64/apt/cache/archives/partial"
	: >"$arm64/apt/status"
	cat >"$arm64/apt/conf" <<-END
		APT::Architecture "arm64";
		APT::Architectures { "arm64"; };
		APT::Sandbox::User "root";
		Debug::NoLocking "true";
		Dir::State "$arm64/apt";
		Dir::State::Lists "$arm64/apt/lists";
		Dir::State::status "$arm64/apt/status";
		Dir::Cache "$arm64/apt/cache";
	END
}

# The kernel that the newest one of its kind stands for today.
arm64_kernel_package() {
	apt-cache -c "$arm64/apt/conf" depends linux-image-cloud-arm64 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

arm64_fetch() {
	local package
	[ ! -f "$arm64/ready" ] || return 0
	say "Fetching arm64 packages into build/arm64"
	arm64_state
	arm64_apt apt-get update || return
	# shellcheck disable=SC2086
	arm64_apt apt-get install -y --no-install-recommends --download-only $arm64_libraries || return
	(cd "$arm64/apt/cache/archives" && arm64_apt apt-get download "$(arm64_kernel_package)") ||
		say "No kernel for arm64 could be fetched (build/arm64/apt.log)"
	for package in "$arm64"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$package" "$arm64/sysroot" || return
	done
	touch "$arm64/ready"
}

arm64_cross_file() {
	cat >"$arm64/cross.ini" <<-END
		[constants]
		root = '$arm64/sysroot'
		emulator = ['$(command -v qemu-aarch64)', '-cpu', '$arm64_cpu', '-L', root]
		links = ['-Wl,-rpath-link,' + root / 'usr/lib/aarch64-linux-gnu',
		  '-Wl,-rpath-link,' + root / 'lib/aarch64-linux-gnu']
		[binaries]
		c = [$(have ccache && echo "'ccache', ")'aarch64-linux-gnu-gcc', '--sysroot=' + root]
		cpp = [$(have ccache && echo "'ccache', ")'aarch64-linux-gnu-g++', '--sysroot=' + root]
		ar = 'aarch64-linux-gnu-ar'
		strip = 'aarch64-linux-gnu-strip'
		pkgconfig = 'pkg-config'
		exe_wrapper = emulator
		[built-in options]
		c_link_args = links
		cpp_link_args = links
		[properties]
		emulator = emulator
		needs_exe_wrapper = true
		sys_root = root
		pkg_config_libdir = root / 'usr/lib/aarch64-linux-gnu/pkgconfig'
		[host_machine]
		system = 'linux'
		cpu_family = 'aarch64'
		cpu = 'aarch64'
		endian = 'little'
	END
}

arm64_made() {
	made "$1" aarch64-linux-gnu-gcc --cross-file "$arm64/cross.ini" "${@:2}"
}

# arm64_boot KERNEL LOG OPTION...
arm64_boot() {
	timeout 1800 python3 tests/platforms/on_kernel.py build/arm64-gcc "$arm64/sysroot" "$1" "$2" \
		--patience "$patience" "${@:3}"
}

# The programs of build/arm64-gcc on a kernel of their own.
arm64_kernel_row() {
	local kernel seconds=$SECONDS version status logs failing
	kernel=$(find "$arm64/sysroot/boot" -name 'vmlinuz-*' 2>/dev/null | sort | tail -n 1)
	if [ -z "$kernel" ] || ! have qemu-system-aarch64; then
		lacking "arm64, its own kernel" epoll "no kernel, or no qemu-system-aarch64"
		return
	fi
	version=${kernel##*/vmlinuz-}
	say "== arm64, Linux $version: testing"
	arm64_boot "$kernel" "$arm64/kernel.log"
	status=$?
	logs=$arm64/kernel.log
	mapfile -t failing < <(python3 tests/platforms/tally.py --failing "$logs")
	if [ $status = 0 ] && [ ${#failing[@]} -gt 0 ] && [ ${#failing[@]} -le "$second_tries" ]; then
		say "== arm64, Linux $version: once more: ${failing[*]}"
		arm64_boot "$kernel" "$arm64/kernel2.log" --only "${failing[@]}"
		status=$?
		logs+=" $arm64/kernel2.log"
	fi
	add_log "arm64, Linux ${version%%-*}" epoll "$logs" $status $((SECONDS - seconds))
}

arm64_rows() {
	local protected=-mbranch-protection=standard
	[ "$(uname -m)" != aarch64 ] || return 0
	mkdir -p "$arm64"
	arm64_tools
	[ ${#missing[@]} = 0 ] || ! can_install || install "${missing[@]}"
	arm64_tools
	if ! have aarch64-linux-gnu-gcc || ! have qemu-aarch64; then
		lacking arm64 epoll "not installed: ${missing[*]}"
		return
	fi
	if ! arm64_fetch; then
		lacking arm64 epoll "arm64 packages can't be fetched (build/arm64/apt.log)"
		return
	fi
	arm64_cross_file
	patience=5
	if arm64_made arm64-gcc; then
		emulated_row "arm64, qemu-user" epoll arm64-gcc FIBER_TEST_PATIENCE=$patience
		arm64_kernel_row
	fi
	arm64_made arm64-protected -Dc_args=$protected -Dcpp_args=$protected &&
		emulated_row "arm64, signed returns, qemu-user" epoll arm64-protected \
			FIBER_TEST_PATIENCE=$patience
}
