#!/usr/bin/env bash
# Makes the Debian package of a program that is built already, without debhelper. The same program gives the same
# package, bit for bit.
#
#   deploy/debian/build.sh USAGED OUT
#
# Prints the path of the package. COMPRESS=gzip is quicker than the default xz.
set -euo pipefail

usaged=$(realpath "${1:?name the program}")
out=${2:?name the directory for the package}
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$(dirname "$here")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

version=$("$usaged" --version | awk '{ print $2 }')
arch=$(dpkg --print-architecture)
# The date of what the package is made from, not of the hour in which it is made.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || stat -c %Y "$top/Cargo.lock")}
stamp() { LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" "$1"; }

tree=$work/usaged
put() { install -D -m "$1" "$2" "$tree/$3"; } # put MODE FILE PLACE

put 0755 "$usaged" usr/bin/usaged
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$tree/usr/bin/usaged"
put 0644 "$top/deploy/systemd/usaged.service" lib/systemd/system/usaged.service
put 0644 "$top/deploy/systemd/usaged.sysusers" usr/lib/sysusers.d/usaged.conf
put 0644 "$top/deploy/systemd/usaged.tmpfiles" usr/lib/tmpfiles.d/usaged.conf
put 0644 "$here/usaged.bash" usr/share/bash-completion/completions/usaged

# The configuration: the sample, with the places of a package.
"$top/deploy/debian/config.sh" <"$top/deploy/usaged.toml" >"$work/usaged.toml"
put 0644 "$work/usaged.toml" etc/usaged/usaged.toml
(cd "$top/deploy/policy" && find . -name '*.toml' -printf '%P\n') | LC_ALL=C sort | while read -r file; do
  put 0644 "$top/deploy/policy/$file" "etc/usaged/policy/$file"
done

doc=usr/share/doc/usaged
put 0644 "$here/copyright" "$doc/copyright"
for file in "$top"/README.md "$top"/CHANGELOG.md "$top"/SECURITY.md "$top"/docs/*.md; do
  [ ! -e "$file" ] || put 0644 "$file" "$doc/$(basename "$file")"
done
for dir in prometheus grafana; do
  [ ! -d "$top/deploy/$dir" ] || (cd "$top/deploy" && find "$dir" -type f -printf '%p\n') | while read -r file; do
    put 0644 "$top/deploy/$file" "$doc/examples/$file"
  done
done
find "$top/proto" -name '*.proto' -printf '%P\n' | while read -r file; do
  put 0644 "$top/proto/$file" "usr/share/usaged/proto/$file"
done
cat >"$work/changelog" <<CHANGES
usaged ($version) unstable; urgency=medium

  * What changed is in CHANGELOG.md beside this file.

 -- The usaged developers <usaged@maintainers.invalid>  $(stamp '+%a, %d %b %Y %H:%M:%S +0000')
CHANGES
gzip -9n "$work/changelog"
put 0644 "$work/changelog.gz" "$doc/changelog.gz"
"$here/manual.sh" "$usaged" "$version" "$(stamp +%Y-%m-%d)" >"$work/usaged.1"
gzip -9n "$work/usaged.1"
put 0644 "$work/usaged.1.gz" usr/share/man/man1/usaged.1.gz

# What the program needs, computed from the libraries it is linked with.
mkdir -p "$work/shlibs/debian"
printf 'Source: usaged\n\nPackage: usaged\nArchitecture: any\n' >"$work/shlibs/debian/control"
shlibs=$(cd "$work/shlibs" && dpkg-shlibdeps -O -e"$tree/usr/bin/usaged" 2>"$work/shlibs/said" | sed 's/^shlibs:Depends=//') ||
  { cat "$work/shlibs/said" >&2; exit 1; }

mkdir "$tree/DEBIAN"
size=$(du -k -s --apparent-size "$tree" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@SHLIBS@/$shlibs/" \
  "$here/control.in" >"$tree/DEBIAN/control"
(cd "$tree" && find etc -type f -printf '/%p\n') | LC_ALL=C sort >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr lib -type f -printf '%p\n' | LC_ALL=C sort | xargs md5sum) >"$tree/DEBIAN/md5sums"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$tree/DEBIAN/$script"; done
find "$tree" -type d -exec chmod 0755 {} +
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
package=$out/usaged_${version}_$arch.deb
dpkg-deb --root-owner-group -Z"${COMPRESS:-xz}" --build "$tree" "$package" >/dev/null
echo "$package"
