#!/bin/sh
# Writes .env for docker-compose.yml: the lines of .env.example, with a new secret where one is empty.
#   sh services/geotarget/env.sh
# In a .env that is there already no line changes; it gets the lines that a newer version needs.
# Needs nothing but a POSIX system.
set -eu
cd "$(dirname "$0")/../.."
umask 077

hexadecimal() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
base64_of_32() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

with_secrets() {
  while IFS= read -r line; do
    case $line in
      GEOTARGET_SECRET_KEY= | GEOTARGET_AUTH_CALLOUT_SEED=) line="$line$(base64_of_32)" ;;
      DEMO_WEBHOOK_SECRET=) line="${line}whsec_$(base64_of_32)" ;;
      # a letter first: the broker reads what begins with a digit as a number
      [A-Z]*=) line="${line}s$(hexadecimal)" ;;
    esac
    printf '%s\n' "$line"
  done
}

missing() {
  while IFS= read -r line; do
    case $line in
      [A-Z]*=*) grep -q "^${line%%=*}=" .env || printf '%s\n' "$line" ;;
    esac
  done < .env.example
}

if [ ! -e .env ]; then
  with_secrets < .env.example > .env.new
  mv .env.new .env
  echo ".env written, readable to you only"
  exit
fi
new=$(missing)
if [ -z "$new" ]; then
  echo ".env is there already, and complete; remove it first if you want new secrets" >&2
  exit
fi
added=$(printf '%s\n' "$new" | with_secrets)
printf '\n# Added for a newer version; .env.example says what it is.\n%s\n' "$added" >> .env
echo ".env got new lines; .env.example says what they are:" $(printf '%s\n' "$new" | sed 's/=.*//')
