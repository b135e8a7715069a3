(function () {
  "use strict";
  var form = document.querySelector("form.find");
  if (!form) { return; }
  var text = form.querySelector("input");
  var level = form.querySelector("select");
  var told = form.querySelector("output");
  var groups = Array.prototype.slice.call(document.querySelectorAll("[data-group]"));
  var rows = groups.map(function (group) {
    return Array.prototype.slice.call(group.querySelectorAll("[data-k]"));
  });
  function filter() {
    var words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    var at = level ? level.value : "";
    var count = 0;
    groups.forEach(function (group, nth) {
      var own = group.getAttribute("data-group");
      var left = 0;
      rows[nth].forEach(function (row) {
        var about = own + " " + row.getAttribute("data-k");
        var hit = words.every(function (word) { return about.indexOf(word) >= 0; });
        if (hit && at) { hit = (" " + row.getAttribute("data-at") + " ").indexOf(" " + at + " ") >= 0; }
        row.hidden = !hit;
        if (hit) { left += 1; }
      });
      group.hidden = left === 0 && (words.length > 0 || at !== "");
      count += left;
    });
    told.textContent = count === 1 ? "1 match" : count + " matches";
    var query = text.value ? "?q=" + encodeURIComponent(text.value) : location.pathname;
    try { history.replaceState(null, "", query + location.hash); } catch (error) { /* not from a file */ }
  }
  var asked = /[?&]q=([^&]*)/.exec(location.search);
  if (asked) { try { text.value = decodeURIComponent(asked[1]); } catch (error) { text.value = ""; } }
  form.hidden = false;
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("input", filter);
  document.addEventListener("keydown", function (event) {
    var typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); text.focus(); }
    if (event.key === "Escape" && document.activeElement === text) { text.value = ""; filter(); }
  });
  filter();
  if (location.hash) {
    var target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target) { target.scrollIntoView(); }
  }
}());
