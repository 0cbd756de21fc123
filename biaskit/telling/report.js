(function () {
  "use strict";
  var each = function (sel, fn, root) { Array.prototype.forEach.call((root || document).querySelectorAll(sel), fn); };

  // Definitions: one box, filled from the glossary, on hover or focus. Escape hides it. Without script the link still leads there.
  var tip = document.createElement("div"), timer;
  tip.id = "tip"; tip.hidden = true; tip.setAttribute("aria-hidden", "true"); document.body.appendChild(tip);
  function hide() { tip.hidden = true; }
  function later() { timer = setTimeout(hide, 150); }
  function keep() { clearTimeout(timer); }
  function show(a) {
    var text = document.getElementById("d-" + a.hash.slice(3)), r = a.getBoundingClientRect();
    if (!text) return;
    keep(); tip.replaceChildren.apply(tip, text.cloneNode(true).childNodes); tip.hidden = false;
    var left = Math.min(r.left, document.documentElement.clientWidth - tip.offsetWidth - 12);
    tip.style.left = Math.max(12, left) + scrollX + "px";
    tip.style.top = (r.top > tip.offsetHeight + 12 ? r.top - tip.offsetHeight - 6 : r.bottom + 6) + scrollY + "px";
  }
  each("a.t", function (a) {
    a.addEventListener("mouseenter", function () { show(a); });
    a.addEventListener("focus", function () { show(a); });
    a.addEventListener("mouseleave", later);
    a.addEventListener("blur", hide);
  });
  tip.addEventListener("mouseenter", keep);
  tip.addEventListener("mouseleave", hide);
  addEventListener("keydown", function (e) { if (e.key === "Escape") hide(); });

  // Sorting and CSV. The controls exist only where script runs.
  var live = document.getElementById("live");
  function text(cell) {
    var c = cell.cloneNode(true);
    each(cell.tagName === "TH" ? ".sortb, small" : ".sr", function (x) { x.remove(); }, c);
    return cell.abbr || c.textContent.replace(/\u2212/g, "-").replace(/(\d),(?=\d{3})/g, "$1").replace(/\s+/g, " ").trim();
  }
  function value(row, i) { return text(row.cells[i]); }
  function compare(a, b) {
    var x = parseFloat(a), y = parseFloat(b), nx = x !== x, ny = y !== y;
    if (nx && ny) return String(a).localeCompare(b);
    return nx ? 1 : ny ? -1 : x - y;
  }
  each("table.sort", function (table) {
    var body = table.tBodies[0], heads = table.tHead.rows.length > 1 ? [table.tHead.rows[0].cells[0]].concat([].slice.call(table.tHead.rows[1].cells)) : [].slice.call(table.tHead.rows[0].cells);
    heads.forEach(function (th, i) {
      var b = document.createElement("button"), name = text(th);
      b.type = "button"; b.className = "sortb"; b.textContent = "\u2195"; b.setAttribute("aria-label", "Sort by " + name);
      th.insertBefore(b, th.querySelector("small"));
      b.addEventListener("click", function () {
        var up = th.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (h) { h.removeAttribute("aria-sort"); h.querySelector(".sortb").textContent = "\u2195"; });
        th.setAttribute("aria-sort", up ? "ascending" : "descending"); b.textContent = up ? "\u2191" : "\u2193";
        [].slice.call(body.rows).sort(function (p, q) { return (up ? 1 : -1) * compare(value(p, i), value(q, i)); }).forEach(function (r) { body.appendChild(r); });
        live.textContent = "Sorted by " + name + (up ? ", ascending" : ", descending");
      });
    });
    var p = document.createElement("p"), save = document.createElement("button");
    p.className = "tools"; save.type = "button"; save.textContent = "Save as CSV"; p.appendChild(save);
    table.parentNode.insertAdjacentElement("afterend", p);
    save.addEventListener("click", function () {
      // "3.9 3.6 to 4.3" becomes three columns: value, low, high.
      var quote = function (s) { return '"' + (/^[=+@-]/.test(s) && isNaN(s) ? "'" : "") + s.replace(/"/g, '""') + '"'; };
      var rows = [].slice.call(body.rows).map(function (r) { return [].slice.call(r.cells).map(function (c) {
        return (/^(\S+ )?([-+]?[\d.]+) to ([-+]?[\d.]+)/.exec(text(c)) || []).slice(1); }); });
      var wide = heads.map(function (h, i) { return rows.some(function (r) { return r[i].length; }); });
      var csv = [heads.map(function (h, i) { var s = text(h); return wide[i] ? [s, s + " low", s + " high"] : [s]; })].concat(rows.map(function (r, k) {
        return r.map(function (m, i) { var s = text(body.rows[k].cells[i]); return wide[i] ? m.length ? [(m[0] || "").trim(), m[1], m[2]] : [s, "", ""] : [s]; }); }))
        .map(function (cells) { return [].concat.apply([], cells).map(quote).join(","); }).join("\r\n");
      var a = document.createElement("a"); a.href = "data:text/csv;charset=utf-8," + encodeURIComponent(csv); a.download = table.id.slice(2) + ".csv"; a.click();
    });
  });

  // Print everything, also what is folded.
  var folded = [];
  addEventListener("beforeprint", function () { each("details:not([open])", function (d) { folded.push(d); d.open = true; }); });
  addEventListener("afterprint", function () { folded.forEach(function (d) { d.open = false; }); folded = []; });
})();
