#!/usr/bin/env bash
# Looks at what `usaged policy publish` makes, in a real browser: that no page is wider than a phone, in
# light and dark, and pictures of them to look at. Not part of `make test`: it needs Chromium.
#
#   deploy/publish-look.sh USAGED [OUT]
set -euo pipefail

usaged=${1:?name the program}
out=${2:-$(mktemp -d)}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
  echo "usaged: no browser; install chromium (apt-get install chromium)" >&2
  exit 1
fi
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
site=$out/site
"$usaged" policy publish --shipped --out "$site" >/dev/null

look() { # look SCHEME ARGUMENTS...
  "$browser" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" \
    --allow-file-access-from-files --blink-settings=preferredColorScheme="$1" "${@:2}" 2>/dev/null
}

failed=0
for page in "$site"/index.html "$site"/products/*.html; do
  name=$(basename "$page" .html)
  for width in 320 390 768 1280; do
    probe=$out/probe.html
    # The page in a frame of this width tells how wide it would like to be.
    cat >"$probe" <<HTML
<!doctype html><body><p id="told"></p>
<iframe id="f" style="width:${width}px;height:900px;border:0" src="file://$page"></iframe>
<script>
document.getElementById("f").onload = function () {
  var root = this.contentDocument.documentElement;
  document.getElementById("told").textContent = "WIDTH=" + root.scrollWidth + ".";
};
</script>
HTML
    wants=$(look 1 --virtual-time-budget=5000 --dump-dom "file://$probe" | sed -n 's/.*WIDTH=\([0-9]*\)\..*/\1/p')
    if [ -z "$wants" ] || [ "$wants" -gt "$width" ]; then
      echo "usaged: $name is ${wants:-not shown} wide at $width pixels" >&2
      failed=1
    fi
    rm -f "$probe"
  done
  look 1 --window-size=1280,2400 --screenshot="$out/$name-light.png" "file://$page" >/dev/null
  look 0 --window-size=1280,2400 --screenshot="$out/$name-dark.png" "file://$page" >/dev/null
  look 1 --no-pdf-header-footer --print-to-pdf="$out/$name.pdf" "file://$page" >/dev/null
done
[ "$failed" = 0 ] || exit 1
echo "usaged: no page scrolls sideways at 320, 390, 768 or 1280 pixels; pictures and prints are in $out"
