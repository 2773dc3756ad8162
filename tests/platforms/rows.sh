# rows.sh - the rows of `./run test`: a build on a platform, with a poller. Sourced by run.
#
# What a row needs is built by `made`; then each row is one line:
#
#	made gcc gcc -Db_ndebug=false && row "x86-64, gcc" epoll gcc
#	row "x86-64, gcc" poll gcc FIBER_POLLER=poll
#	lacking "arm64" epoll "no cross compiler"
# shellcheck shell=bash

passed=0 failed=0 skipped=0
rows=() failures=() reasons=() retried=()
second_tries=12 # more tests than that did not fail by chance
patience=2 # times what Meson allows a test

# made NAME CC OPTION...: builds build/NAME; what does not build is a failure.
made() {
	local name=$1 cc=$2 seconds=$SECONDS
	shift 2
	say "== $name: building with $cc"
	if build "$name" "$cc" "$(cxx_of "$cc")" -Db_ndebug=false "$@"; then
		say "== $name: built in $((SECONDS - seconds)) s"
		return
	fi
	add_row "$name" - 0 1 0 $((SECONDS - seconds))
	failures+=("$name: does not build")
	return 1
}

# row PLATFORM POLLER NAME [VARIABLE=VALUE...]: the tests of build/NAME, with that environment.
row() {
	local platform=$1 poller=$2 directory=build/$3 seconds=$SECONDS
	shift 3
	say "== $platform, $poller: testing"
	env "$@" meson test -C "$directory" --no-rebuild --print-errorlogs -t "$patience" 2>&1 |
		grep -Ev '^(ninja: |>>> |Expected Fail|Unexpected Pass|Full log|$)'
	add_log "$platform" "$poller" "$directory/meson-logs/testlog.txt" "${PIPESTATUS[0]}" \
		$((SECONDS - seconds))
}

# emulated_row PLATFORM POLLER NAME [VARIABLE=VALUE...]: a row in an emulator, whose time is not that
# of the clock: what fails is tried a second time, and the table says so.
emulated_row() {
	local platform=$1 poller=$2 directory=build/$3 seconds=$SECONDS status log failing
	shift 3
	log=$directory/meson-logs/testlog.txt
	say "== $platform, $poller: testing"
	emulated_tests "$directory" "$@"
	status=$?
	cp "$log" "$directory/first.txt"
	mapfile -t failing < <(python3 tests/platforms/tally.py --failing "$log")
	if [ ${#failing[@]} -gt 0 ] && [ ${#failing[@]} -le "$second_tries" ]; then
		say "== $platform, $poller: once more: ${failing[*]}"
		emulated_tests "$directory" "$@" -- "${failing[@]}"
		status=$?
		cp "$log" "$directory/second.txt"
		add_log "$platform" "$poller" "$directory/first.txt $directory/second.txt" $status \
			$((SECONDS - seconds))
	else
		add_log "$platform" "$poller" "$directory/first.txt" $status $((SECONDS - seconds))
	fi
}

# emulated_tests DIRECTORY VARIABLE=VALUE... [-- TEST...]
emulated_tests() {
	local directory=$1 variables=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	[ $# = 0 ] || shift
	env "${variables[@]}" meson test -C "$directory" --no-rebuild --print-errorlogs -t "$patience" \
		"$@" 2>&1 | grep -Ev '^(ninja: |>>> |Expected Fail|Unexpected Pass|Full log|$)'
	return "${PIPESTATUS[0]}"
}

# lacking PLATFORM POLLER REASON: a row that can't be had here.
lacking() {
	add_row "$1" "$2" 0 0 1 0
	reasons+=("$1: $3")
	say "== $1, $2: skipped, $3"
}

# add_log PLATFORM POLLER LOGS STATUS SECONDS: a row from what tally.py makes of a log, or of that of
# a second try too.
add_log() {
	local p=0 f=0 s=0 key rest
	while read -r key rest; do
		case $key in
		sum) read -r p f s <<<"$rest" ;;
		failed) failures+=("$1, $2: $rest") ;;
		skipped) reasons+=("$1: $rest") ;;
		again) retried+=("$1, $2: $rest") ;;
		esac
		# shellcheck disable=SC2086
	done < <(python3 tests/platforms/tally.py $3)
	if [ "$4" != 0 ] && [ "$f" = 0 ]; then
		f=1
		failures+=("$1, $2: the tests ended with $4")
	fi
	add_row "$1" "$2" "$p" "$f" "$s" "$5"
	say "== $1, $2: $p passed, $f failed, $s skipped in $5 s"
}

add_row() {
	passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + $5))
	rows+=("$(printf '%-34s %-9s %6d %7d %7d %8d %5d s' "$1" "$2" $(($3 + $4)) "$3" "$4" "$5" "$6")")
}

# Every row; why tests were skipped, and where; what failed; the sum.
table() {
	say
	printf '%-34s %-9s %6s %7s %7s %8s %7s\n' platform poller run passed failed skipped time
	printf '%s\n' "${rows[@]}"
	if [ ${#reasons[@]} -gt 0 ]; then
		say
		say "Skipped, and why:"
		printf '%s\n' "${reasons[@]}" | sort | uniq -c
	fi
	if [ ${#retried[@]} -gt 0 ]; then
		say
		say "Passed only at the second try, in an emulator:"
		printf '%s\n' "${retried[@]}"
	fi
	say
	[ ${#failures[@]} = 0 ] || printf 'FAILED %s\n' "${failures[@]}"
	say "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
}
