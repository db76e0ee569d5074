#!/bin/sh
# Writes .env for docker-compose.yml: the lines of .env.example, with a new secret where one is empty.
#   sh services/geotarget/env.sh
# It touches no .env that is there already. Needs nothing but a POSIX system.
set -eu
cd "$(dirname "$0")/../.."
umask 077
[ -e .env ] && { echo ".env is there already; remove it first if you want new secrets" >&2; exit 1; }

hexadecimal() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
base64_of_32() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

while IFS= read -r line; do
  case $line in
    GEOTARGET_SECRET_KEY=) line="$line$(base64_of_32)" ;;
    DEMO_WEBHOOK_SECRET=) line="${line}whsec_$(base64_of_32)" ;;
    # a letter first: the broker reads what begins with a digit as a number
    [A-Z]*=) line="${line}s$(hexadecimal)" ;;
  esac
  printf '%s\n' "$line"
done < .env.example > .env.new
mv .env.new .env
echo ".env written, readable to you only"
