#!/bin/sh
# Debian packages that only tests need. Installed where that is possible (Debian, root); elsewhere
# the tests concerned skip and say what is missing.
set -u
wanted=""
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || wanted="$wanted mosquitto"
command -v mosquitto_pub >/dev/null 2>&1 || wanted="$wanted mosquitto-clients"
command -v curl >/dev/null 2>&1 || wanted="$wanted curl"
command -v openssl >/dev/null 2>&1 || wanted="$wanted openssl"
command -v wget >/dev/null 2>&1 || wanted="$wanted wget"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
  || wanted="$wanted chromium"
# Only the programs of PostgreSQL's server: tests start their own. Debian would make a cluster of the
# system and start it, unless this file says no.
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  wanted="$wanted postgresql"
  clusters=/etc/postgresql-common/createcluster.conf
  if [ "$(id -u)" = 0 ] && [ ! -e "$clusters" ] && command -v apt-get >/dev/null 2>&1; then
    mkdir -p "${clusters%/*}" && echo "create_main_cluster = false" >"$clusters"
  fi
fi
command -v java >/dev/null 2>&1 || [ -x "${JAVA_HOME:-}/bin/java" ] \
  || wanted="$wanted openjdk-17-jre-headless"
[ -z "$wanted" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing for the tests:$wanted"
  export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
  if ! { apt-get install -y -qq $wanted || { apt-get update -qq && apt-get install -y -qq $wanted; }; } >/dev/null 2>&1
  then
    echo "Could not install:$wanted. Tests that need it will skip."
  fi
else
  echo "Missing:$wanted. Tests that need it will skip; on Debian: sudo apt-get install$wanted"
fi
