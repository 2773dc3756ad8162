"""What is measured, against whom, and why a cell is empty. Rows and targets themselves are in the
harnesses (bench/*.c), which print them; here stands what only the comparison knows."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rival:
    name: str
    package: str  # what Debian must have installed; '' for what every system has
    programs: tuple[str, ...]  # in build/.../rivals/


@dataclass
class Workload:
    title: str
    program: str  # ours
    rivals: list[str]
    # Row of ours -> the rival's row, where its name differs.
    alias: dict[str, str] = field(default_factory=dict)
    slow: tuple[str, ...] = ()  # left out by --quick
    helpers: bool = False  # its threads need the second processor
    # Measured beforehand on such a machine, of libraries that Debian does not package.
    elsewhere: dict[str, str] = field(default_factory=dict)
    # Rival -> why it has no figure, in all rows (row '') or in one.
    empty: dict[tuple[str, str], str] = field(default_factory=dict)

    def is_built(self, folder):
        """Some need a library that may not be installed."""
        return (folder / self.program).exists()


RIVALS = {
    r.name: r
    for r in (
        Rival('jump_fcontext', 'libboost-context-dev', ('switch_fcontext',)),
        Rival('Boost.Context', 'libboost-context-dev', ('switch_boost',)),
        Rival('ucontext', '', ('switch_ucontext',)),
        Rival('Boost.Coroutine2', 'libboost-context-dev', ('gen_boost',)),
        Rival('C++20 coroutine', 'g++',
              ('gen_cxx20', 'cxx20_switch', 'cxx20_rows', 'cxx20_chan', 'cxx20_tree')),
        Rival('state machine', '',
              ('gen_machine', 'machine_switch', 'machine_rows', 'machine_chan', 'machine_tree')),
        Rival('OS threads', '', ('threads_rows',)),
        Rival('Boost.Fiber', 'libboost-fiber-dev',
              ('boost_fiber', 'boost_tree', 'boost_mutex', 'boost_chan', 'boost_depth')),
        Rival('State Threads', 'libst-dev', ('state_threads', 'st_mutex')),
        Rival('Pth', 'libpth-dev', ('pth',)),
        Rival('Go', 'golang-go', ('go',)),
        Rival('Tokio', 'librust-tokio-dev', ('tokio-rows',)),
    )
}

FIBER = 'fiber'
STACKLESS = ['C++20 coroutine', 'state machine']
SCHEDULERS = [*STACKLESS, 'Tokio', 'Go', 'Boost.Fiber', 'State Threads', 'Pth', 'OS threads']
PTH_SLOW = 'its queues are walked at every turn: seconds a row already with 10,000'
NO_YIELD = 'has no yield; its turns are handed on by one call'
ONE_THREAD = 'has one thread by design'
MORE_THREADS = 'a process with several threads by design'
BY_HAND = 'its scheduler is written by hand: one thread, no timers, no select'
TOO_MANY = 'so many threads are more than systems allow'
NO_PROBE = 'its timer cannot be armed apart from a sleep'
CHANNELS = ['rendezvous round trip', 'buffered message']
CHOICES = ['select of two meetings', 'select of two, buffered']
CHAINS = [f'pipeline of {n} stages' for n in ('10', '100', '1,000')]
MAPPINGS = 'a mapping for each stack: more than the kernel allows (65,530)'

WORKLOADS = {
    'switch': Workload(
        'One context switch (the rivals keep the control words, as our "full" rows do)',
        'bench-switch',
        [*STACKLESS, 'jump_fcontext', 'Boost.Context', 'ucontext'],
        alias={
            f'{shape}, {kind}': shape
            for shape in ('ring of 8', 'ping-pong', 'mixed depth')
            for kind in ('bare', 'full')
        },
        elsewhere={'ping-pong, bare': 'libaco 7.1, minicoro 9.8 in the best shape of each'},
    ),
    'gen': Workload(
        'Generators: a resume and the yield that answers it',
        'bench-gen',
        ['state machine', 'C++20 coroutine', 'Boost.Coroutine2'],
        empty={
            (rival, row): why
            for rival in ('state machine', 'C++20 coroutine', 'Boost.Coroutine2')
            for row, why in (
                ('a value, control words left alone', 'has no such choice'),
                ('a value, with a second thread', 'does not ask who else resumes'),
                ('a value, in a fiber', 'has no fibers'),
                ('create, one value, destroy, in a fiber', 'has no fibers'),
            )
        }
        | {
            (rival, 'a value, through a call on each side'): 'only the body itself can yield'
            for rival in ('state machine', 'C++20 coroutine')
        },
    ),
    'yield': Workload(
        'A yield through the scheduler',
        'bench-yield',
        SCHEDULERS,
        elsewhere={
            '2 fibers': 'libdill 15, Photon 21, Argobots 23',
            '100 fibers': 'libdill 10, Photon 10, Argobots 23',
            '10,000 fibers': 'libdill 13, Photon 12, Argobots 33',
            '100,000 fibers': 'Photon 62, Argobots 218',
        },
        empty={
            ('State Threads', '2 fibers, two callers'): NO_YIELD,
            ('Pth', '2 fibers, two callers'): 'turns go through its scheduler thread',
            ('Pth', '10,000 fibers'): PTH_SLOW,
            ('Pth', '100,000 fibers'): PTH_SLOW,
            ('Pth', '1,000,000 fibers'): PTH_SLOW,
            ('Boost.Fiber', '1,000,000 fibers'): MAPPINGS,
            ('State Threads', '1,000,000 fibers'): 'its threads stand in 100,000 of this row',
            ('OS threads', '2 fibers, two callers'): 'switching is one call of the kernel',
            ('OS threads', ''): TOO_MANY,
        },
        slow=('1,000,000 fibers',),
    ),
    'depth': Workload(
        'Depth: suspending at the bottom of calls',
        'bench-depth',
        [*STACKLESS, 'Tokio', 'Go', 'Boost.Fiber'],
    ),
    'spawn': Workload(
        'Spawn and join',
        'bench-spawn',
        SCHEDULERS,
        elsewhere={'one by one': 'libdill 44, Argobots 50, neco 68'},
        empty={
            ('Boost.Fiber', 'one by one, idle second worker'): 'a thread spawns for itself',
            ('State Threads', 'one by one, idle second worker'): ONE_THREAD,
            ('Pth', 'one by one, idle second worker'): ONE_THREAD,
            ('Pth', 'batch of 100,000'): PTH_SLOW,
            ('Pth', '100,000 alive, parked once'): PTH_SLOW,
            ('C++20 coroutine', 'one by one, idle second worker'): BY_HAND,
            ('state machine', 'one by one, idle second worker'): BY_HAND,
            ('OS threads', 'one by one, idle second worker'): 'the kernel decides where they run',
            ('OS threads', ''): TOO_MANY,
        },
    ),
    'forkjoin': Workload(
        'Trees: fib(27) with a spawn in every call, skynet of a million leaves',
        'bench-forkjoin',
        [*STACKLESS, 'Tokio', 'Go', 'Boost.Fiber', 'State Threads', 'Pth', 'OS threads'],
        elsewhere={
            'fib(27), one worker': 'MassiveThreads 17.0, Argobots 22.7',
            'fib(27), two workers': 'MassiveThreads 8.4, Argobots 11.4',
            'skynet, one worker': 'MassiveThreads 56, Argobots 51',
            'skynet, two workers': 'MassiveThreads 28, Argobots 26',
        },
        empty={
            (rival, ''): 'first in, first out: all stacks of a level alive at once'
            for rival in ('State Threads', 'Pth')
        }
        | {(rival, ''): BY_HAND for rival in STACKLESS}
        | {('OS threads', ''): TOO_MANY},
    ),
    'chan': Workload(
        'Channels between fibers of one worker',
        'bench-chan',
        [*STACKLESS, 'Tokio', 'Go', 'Boost.Fiber', 'OS threads'],
        elsewhere={
            'rendezvous round trip, alone': 'libdill 53-61, neco 147',
            'buffered message, alone': 'libdill 35',
        },
        empty={
            (rival, f'{row}, alone'): MORE_THREADS
            for row in CHANNELS + CHOICES + CHAINS
            for rival in ('Go', 'OS threads')
        }
        | {
            ('Tokio', f'{row}, alone'): 'locks the same, alone or not'
            for row in CHANNELS + CHOICES + CHAINS
        }
        | {(rival, ''): BY_HAND for rival in STACKLESS}
        | {('OS threads', ''): 'has no select; a chain is as many round trips'}
        | {
            ('Boost.Fiber', f'{row}, {where}'): 'has no select'
            for row in CHOICES
            for where in ('alone', 'with a second thread')
        },
    ),
    'sync': Workload(
        'Locks: a lock and its unlock',
        'bench-sync',
        ['Boost.Fiber', 'State Threads', 'Go', 'Tokio'],
        elsewhere={'mutex, four fibers contend': 'Photon 80; best known 41'},
        empty={
            ('State Threads', 'mutex, four fibers contend'): NO_YIELD,
            ('State Threads', 'mutex, with a second thread'): ONE_THREAD,
            ('State Threads', 'mutex, two workers contend'): ONE_THREAD,
            ('Boost.Fiber', 'mutex, two workers contend'): 'its fibers stay on one thread',
            ('Go', 'mutex, alone'): MORE_THREADS,
            ('Tokio', 'mutex, alone'): 'locks the same, alone or not',
        }
        | {
            (rival, ''): 'only its mutex is compared'
            for rival in ('Boost.Fiber', 'State Threads', 'Go', 'Tokio')
        },
    ),
    'offload': Workload(
        'Blocking calls: a trip to a helper thread and back, and a heartbeat beside such trips',
        'bench-offload',
        [],
        helpers=True,
        slow=('10 ms heartbeat, how late',),
    ),
    'foreign': Workload(
        'Foreign calls: what is added to libffi and to a spawn',
        'bench-foreign',
        [],
    ),
    'queue': Workload(
        'The event queue: one event, with its read and write, beside bare epoll',
        'bench-queue',
        [],
    ),
    'sleep': Workload(
        'Sleepers and timers',
        'bench-sleep',
        SCHEDULERS,
        slow=('1,000,000 random sleeps', 'arm and cancel beside 1,000,000', '1,000,000 parked'),
        elsewhere={'100,000 parked': 'Photon and libdill 8,700'},
        empty={
            ('Pth', ''): PTH_SLOW,
            ('Boost.Fiber', '1,000,000 parked'): MAPPINGS,
            ('OS threads', ''): TOO_MANY,
            ('Boost.Fiber', 'arm and cancel beside 1,000,000'): NO_PROBE,
            ('State Threads', 'arm and cancel beside 1,000,000'): NO_PROBE,
        }
        | {(rival, ''): BY_HAND for rival in STACKLESS}
        | {
            (rival, '19,000 dormant'): 'has no such state: a waiting task is a parked one'
            for rival in SCHEDULERS
        },
    ),
}
