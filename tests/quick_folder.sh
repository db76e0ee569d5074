#!/bin/sh
# Where tests write: in memory if there is room. A database that waits for a disk at each commit
# takes up to half of the suite's time, and nobody cuts the power between two tests.
set -u
room=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -n "${TMPDIR:-}" ]; then
  echo "$TMPDIR"
elif [ "${room:-0}" -gt 4000000 ] && [ -w /dev/shm ]; then
  echo /dev/shm
else
  echo /tmp
fi
