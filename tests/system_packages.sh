#!/bin/sh
# Debian packages that only tests need. Installed where that is possible (Debian, root); elsewhere
# the tests concerned skip and say what is missing.
set -u
wanted=""
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || wanted="$wanted mosquitto"
command -v openssl >/dev/null 2>&1 || wanted="$wanted openssl"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
  || wanted="$wanted chromium"
[ -z "$wanted" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing for the tests:$wanted"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get install -y -qq $wanted || { apt-get update -qq && apt-get install -y -qq $wanted; }; } >/dev/null 2>&1
  then
    echo "Could not install:$wanted. Tests that need it will skip."
  fi
else
  echo "Missing:$wanted. Tests that need it will skip; on Debian: sudo apt-get install$wanted"
fi
