# win64.sh - Windows x64: built with MinGW-w64, run under Wine. Sourced by run, after rows.sh.
#
# Wine's server is started before the tests, and one program with it: a test that did so would leave
# processes behind that hold its pipes open, and would seem never to end. It has a folder of its own,
# build/wine.
# shellcheck shell=bash

win64_wine=/usr/lib/wine/wine64

win64_tools() {
	missing=()
	have x86_64-w64-mingw32-gcc-posix || missing+=(gcc-mingw-w64-x86-64-posix)
	have "$win64_wine" || missing+=(wine wine64)
}

win64_start() {
	export WINEDEBUG=-all WINEPREFIX="$PWD/build/wine"
	wineserver -p </dev/null >/dev/null 2>&1
	timeout 120 "$win64_wine" cmd /c exit </dev/null >/dev/null 2>&1
}

# Ends the server of this folder, and with it all that it runs.
win64_end() {
	wineserver -k </dev/null >/dev/null 2>&1
	unset WINEDEBUG WINEPREFIX
}

win64_rows() {
	[ "$(uname -m)" = x86_64 ] || return 0
	win64_tools
	[ ${#missing[@]} = 0 ] || ! can_install || install "${missing[@]}"
	win64_tools
	if [ ${#missing[@]} != 0 ]; then
		lacking "Win64 (Wine)" iocp "not installed: ${missing[*]}"
		return
	fi
	patience=5
	if made win64 x86_64-w64-mingw32-gcc-posix --cross-file tests/platforms/win64.ini; then
		win64_start
		emulated_row "Win64 (Wine)" iocp win64
		win64_end
	fi
}
