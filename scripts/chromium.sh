#!/bin/sh
# Makes sure that a Chromium is there: installs Debian's as root, elsewhere says in one line what to install.
set -e
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing chromium with apt-get …"
  apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-core fonts-dejavu-core >/dev/null
  exit 0
fi
echo "the browser tests need Chromium on PATH: install it (Debian: sudo apt install chromium; macOS: brew install --cask chromium)"
exit 1
