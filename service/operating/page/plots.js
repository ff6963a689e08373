// Figures as the report's page has them, in the colours of the reader's choice.

const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();

/** The report's colours on a dark ground. */
const ON_DARK = {
  "#1d2733": "#dfe6eb", "#66727f": "#9aa7b2", "#e6eaee": "#2b363e", "#f3f7f7": "#1c262c", "#cfe4e1": "#24524f",
  "#fde2b8": "#7a5a24", "#f39a4a": "#d9822f", "#b3261e": "#ff6b57", "#0b7a75": "#3fb6ae", "#d5dbe1": "#5b6873",
  "#0b5d78": "#4aa3c7", white: "#1c262c",
};

/** Draw a figure into a place, or redraw it there; null: nothing. */
export function draw(place, figure) {
  drawn.set(place, figure);
  if (figure === null || place.clientWidth === 0) return;
  const {data, layout} = coloured(figure);
  const narrow = place.clientWidth < 520;
  Object.assign(layout, {autosize: true, dragmode: false, hovermode: layout.hovermode ?? "closest"});
  layout.font.size = narrow ? 11 : 13;
  if (narrow && layout.yaxis?.tickfont) layout.yaxis.tickfont.size = 10;
  if (narrow && layout.xaxis) layout.xaxis.nticks = 6, delete layout.xaxis.dtick;
  Plotly.react(place, data, layout, {responsive: true, displayModeBar: false, scrollZoom: false, doubleClick: false});
}

/** Draw what has become visible, and forget what is gone. */
export function redraw() {
  for (const [place, figure] of drawn) place.isConnected ? draw(place, figure) : drawn.delete(place);
}
dark.addEventListener("change", redraw);

/** Losses over epochs. */
export function lossFigure(epochs) {
  const x = epochs.map((e) => e.epoch);
  const line = (name, key, colour, dash) => ({
    type: "scatter", mode: epochs.length < 3 ? "lines+markers" : "lines", name, x, y: epochs.map((e) => e[key]),
    line: {color: colour, dash, width: 2}, hovertemplate: `%{y:.4~g}<extra>${name}</extra>`,
  });
  const axis = {gridcolor: "#e6eaee", zeroline: false, automargin: true, tickfont: {color: "#66727f", size: 12}};
  return {
    data: [line("training", "train_loss", "#98a2b0", "dot"), line("validation", "val_loss", "#0b7a75", "solid")],
    layout: {
      height: 220, margin: {l: 8, r: 8, t: 8, b: 8}, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 13, color: "#1d2733"},
      xaxis: {...axis, showgrid: false, ...(x.length < 12 && {dtick: 1}), nticks: 12, range: [1, Math.max(2, x.at(-1))], title: {text: "epoch", font: {size: 12, color: "#66727f"}}},
      yaxis: {...axis, nticks: 5, title: {text: "loss", font: {size: 12, color: "#66727f"}}},
      legend: {orientation: "h", x: 0, y: 1.02, yanchor: "bottom"}, hovermode: "x unified",
      hoverlabel: {bgcolor: "white", bordercolor: "#e6eaee", font: {color: "#1d2733"}},
    },
  };
}

/** A copy of the figure; where it is dark, in the dark's colours. */
function coloured(figure) {
  const light = structuredClone(figure);
  return dark.matches ? replaced(light) : light;
}

function replaced(value) {
  if (Array.isArray(value)) return value.map(replaced);
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, replaced(v)]));
  return Object.hasOwn(ON_DARK, value) ? ON_DARK[value] : value;
}
