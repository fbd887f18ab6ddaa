#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The public POSIX suite (github.com/pjd/pjdfstest), as root; it is not part of this source:
#   PJDFSTEST=DIR   a clone of it, built there (autoreconf -ifs && ./configure && make pjdfstest)
#   PARTS="chown rename"   only these folders of its tests
. "$(dirname "$0")/lib.sh"
[ -n "${PJDFSTEST:-}" ] || skip "set PJDFSTEST to a built clone of pjdfstest"
[ -x "$PJDFSTEST/pjdfstest" ] || fail "$PJDFSTEST/pjdfstest is not built"
need_root
need prove
start -o allow_other
mkdir "$M/t"
cd "$M/t"
parts=("$PJDFSTEST/tests")
if [ -n "${PARTS:-}" ]; then
	parts=()
	for p in $PARTS; do parts+=("$PJDFSTEST/tests/$p"); done
fi
rc=0
prove -r "${parts[@]}" > "$T/out" 2>&1 || rc=$?
grep -vE '\.t \.+ ok$' "$T/out" || true
same "$rc" 0 "exit code of prove"
