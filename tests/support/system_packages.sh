#!/usr/bin/env bash
# Install, from Debian, the real clients and peers that tests/system needs. Does nothing, at once, when all is there.
# Where it may not install, it says so in one line, with the command that brings them, and exits with 1.
set -u
packages=(
  dbus dbus-x11 dnsmasq-base ejabberd gajim gajim-omemo gir1.2-gtk-3.0 gir1.2-gtksource-4 glib-networking imagemagick
  lua-unbound openbox openssl profanity prosody python3-keyring tmux xdotool xvfb
)
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) || status=
  [[ $status == ii* ]] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install=(apt-get install -y -qq --no-install-recommends "${missing[@]}")
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive); fi
if ! command -v apt-get >/dev/null || { [ ${#as_root[@]} -gt 0 ] && ! sudo -n true 2>/dev/null; }; then
  echo "tests/system is left out: install ${missing[*]} (sudo apt-get install -y ${missing[*]})" >&2
  exit 1
fi
# A policy that refuses every start keeps the packages' own services down: the tests start what they need themselves.
policy=/usr/sbin/policy-rc.d
if [ ${#as_root[@]} -eq 0 ] && [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
if ! { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${install[@]}" >/dev/null; }; then
  echo "tests/system is left out: apt-get could not install ${missing[*]}" >&2
  exit 1
fi
