"use strict";
(function () {
  const plots = Array.from(document.querySelectorAll("figure .plot"));
  const buttons = [["toImage", "zoom2d", "resetScale2d"]];
  const options = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: buttons };

  function draw(plot) {
    if (plot.dataset.drawn) return Promise.resolve();
    plot.dataset.drawn = "yes";
    const spec = JSON.parse(plot.nextElementSibling.textContent);
    return Plotly.newPlot(plot, spec.data, spec.layout, options);
  }

  // One figure at a time, so that a page of many figures can be read and scrolled while they appear.
  (async function () {
    for (const plot of plots) {
      await draw(plot);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    document.documentElement.dataset.ready = "yes";
  })();
  window.addEventListener("beforeprint", () => {
    plots.forEach(draw);
    plots.forEach((plot) => Plotly.Plots.resize(plot));
  });

  for (const radio of document.querySelectorAll("input[name=cells]")) {
    radio.addEventListener("change", () => {
      const best = radio.value === "best";
      for (const plot of document.querySelectorAll("figure.pair .plot")) {
        draw(plot).then(() => Plotly.restyle(plot, { visible: [best, !best] }));
      }
    });
  }

  const boards = JSON.parse(document.getElementById("board").textContent);
  document.querySelectorAll(".leaderboard").forEach((place, i) => leaderboard(place, boards[i]));

  function leaderboard(place, board) {
    const table = place.querySelector("table");
    const body = table.tBodies[0];
    const shown = place.querySelector(".shown");
    const search = place.querySelector(".search");
    const heads = Array.from(table.tHead.rows[0].cells);
    const more = place.querySelector(".more");
    let limit = 50;
    const texts = board.rows.map((row) => row.join(" ").toLowerCase());
    let column = 0;
    let ascending = true;

    function compare(a, b) {
      if (board.numeric[column]) {
        const x = parseFloat(a[column]);
        const y = parseFloat(b[column]);
        if (isNaN(x) || isNaN(y)) return (isNaN(x) ? 1 : 0) - (isNaN(y) ? 1 : 0); // no value: last either way
        return ascending ? x - y : y - x;
      }
      const order = String(a[column]).localeCompare(String(b[column]), undefined, { numeric: true });
      return ascending ? order : -order;
    }

    function show() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = board.rows.filter((row, i) => words.every((word) => texts[i].includes(word))).sort(compare);
      body.replaceChildren(
        ...rows.slice(0, limit).map((row) => {
          const line = document.createElement("tr");
          row.forEach((value, i) => {
            const cell = document.createElement("td");
            cell.textContent = value;
            if (board.right[i]) cell.className = "number";
            line.append(cell);
          });
          return line;
        })
      );
      const found = words.length ? ` (${rows.length} found)` : "";
      shown.textContent = `Showing ${Math.min(rows.length, limit)} of ${board.rows.length} combinations${found}`;
      more.hidden = rows.length <= limit;
      heads.forEach((head, i) => {
        if (i === column) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
    }

    heads.forEach((head, i) => {
      head.dataset.sort = "";
      head.tabIndex = 0;
      const sort = () => {
        ascending = column === i ? !ascending : true;
        column = i;
        show();
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          sort();
        }
      });
    });
    search.addEventListener("input", show);
    more.addEventListener("click", () => {
      limit += 200;
      show();
    });
    place.querySelector(".csv").addEventListener("click", () => {
      // A spreadsheet runs a text that begins so, unless it is a number.
      const isFormula = (text) => /^[=+\-@\t\r]/.test(text) && !/^[-+]?[\d.]+(e[-+]?\d+)?( ± [\d.e+-]+)?$/.test(text);
      const quote = (value) => {
        const text = String(value);
        return `"${isFormula(text) ? "'" : ""}${text.replaceAll('"', '""')}"`;
      };
      const text = [board.header, ...board.rows].map((row) => row.map(quote).join(",")).join("\r\n");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = "leaderboard.csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
    show();
  }
})();
