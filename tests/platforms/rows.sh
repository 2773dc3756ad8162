# rows.sh - the rows of `./run test`: a build on a platform, with a poller. Sourced by run.
#
# What a row needs is built by `made`; then each row is one line:
#
#	made gcc gcc -Db_ndebug=false && row "x86-64, gcc" epoll gcc
#	row "x86-64, gcc" poll gcc FIBER_POLLER=poll
#	lacking "arm64" epoll "no cross compiler"
# shellcheck shell=bash

passed=0 failed=0 skipped=0
rows=() failures=() reasons=()
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

# lacking PLATFORM POLLER REASON: a row that can't be had here.
lacking() {
	add_row "$1" "$2" 0 0 1 0
	reasons+=("$1: $3")
	say "== $1, $2: skipped, $3"
}

# add_log PLATFORM POLLER LOG STATUS SECONDS: a row from what tally.py makes of a log.
add_log() {
	local p=0 f=0 s=0 key rest
	while read -r key rest; do
		case $key in
		sum) read -r p f s <<<"$rest" ;;
		failed) failures+=("$1, $2: $rest") ;;
		skipped) reasons+=("$1: $rest") ;;
		esac
	done < <(python3 tests/platforms/tally.py "$3")
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
	say
	[ ${#failures[@]} = 0 ] || printf 'FAILED %s\n' "${failures[@]}"
	say "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
}
