#!/usr/bin/env bash
# wine.sh - the tests of Windows under Wine: tests/cross/wine.sh [DIRECTORY [MESON TEST ARGUMENT...]]
#
# Builds with MinGW-w64 into DIRECTORY (build/win64) and runs `meson test` there. Wine's server is
# started before, and one program with it: a test that did so would leave processes behind that hold
# its pipes open, and would seem never to end.
set -u
cd "$(dirname "$0")/../.." || exit 1
directory=${1-build/win64}
[ $# -eq 0 ] || shift
wine=/usr/lib/wine/wine64
export WINEDEBUG=-all WINEPREFIX="$PWD/build/wine"

for needed in x86_64-w64-mingw32-gcc-posix "$wine" meson ninja; do
	command -v "$needed" >/dev/null || { echo "wine.sh: $needed is not installed"; exit 77; }
done
mkdir -p build
wineserver -p </dev/null >/dev/null 2>&1
timeout 120 "$wine" cmd /c exit </dev/null >/dev/null 2>&1
trap 'wineserver -k </dev/null >/dev/null 2>&1' EXIT

if [ ! -f "$directory/build.ninja" ]; then
	meson setup "$directory" --cross-file tests/cross/win64.ini -Db_ndebug=false \
		>"$directory.log" 2>&1 || { tail -n 20 "$directory.log"; exit 1; }
fi
ninja -C "$directory" >"$directory.log" 2>&1 || {
	grep -v '^\[[0-9]*/[0-9]*\] [A-Z]' "$directory.log" | tail -n 60
	exit 1
}
meson test -C "$directory" --no-rebuild --print-errorlogs -t 5 "$@"
