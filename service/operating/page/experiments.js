// Experiments: what trackers have logged; one that is opened is drawn, and drawn anew now and then.

import {byId, fill, rows, show, write} from "./dom.js";
import {draw} from "./plots.js";
import {Refused, Unreachable, get} from "./service.js";

const LOOK_MILLISECONDS = 15_000;
let due = 0;

/** Show the experiments there are. */
export async function showExperiments() {
  if (Date.now() < due) return;
  due = Date.now() + LOOK_MILLISECONDS;
  const {experiments} = await get("/api/v1/experiments");
  byId("experiments").hidden = experiments.length === 0;
  show(byId("experiment-list"), "experiment", experiments, (name) => name, (element, name) => {
    const details = element.querySelector("details");
    fill(element, {name});
    if (!element.dataset.known) details.addEventListener("toggle", () => details.open && look(element, name));
    else if (details.open) look(element, name);
    element.dataset.known = "yes";
  });
}

/** Forget them. */
export function leaveExperiments() {
  due = 0;
  byId("experiment-list").replaceChildren();
}

async function look(element, name) {
  try {
    showMetrics(element, await get(`/api/v1/experiments/metrics?experiment=${encodeURIComponent(name)}`));
  } catch (error) {
    if (!(error instanceof Refused) && !(error instanceof Unreachable)) throw error;
    fill(element, {lede: `Its metrics do not come: ${error.message}.`});
  }
}

function showMetrics(element, told) {
  const list = (part) => element.querySelector(`[data-part="${part}"]`);
  fill(element, {lede: told.lede});
  show(list("latest"), "latest-value", told.latest, (one) => one.name, fill);
  show(list("curves"), "curve", told.curves, (curve) => curve.name, fill);
  told.curves.forEach((curve, i) => drawIn(list("curves").children[i], curve.name, curve.figure)); // all there: each has its width
  list("confusion").hidden = told.confusion === null;
  if (told.confusion !== null) {
    fill(list("confusion"), {cost: `By the cost matrix ${told.cost} an item on average.`});
    drawIn(list("confusion"), "what was said where something was true", told.confusion);
  }
  show(list("alerts"), "alert", told.alerts, (alert) => `${alert.at} ${alert.text}`, (item, alert) => {
    item.dataset.state = alert.state;
    fill(item, alert);
  });
  const table = element.querySelector("table");
  heads(table, ["run", "status", "started (UTC)", ...told.columns]);
  table.parentElement.setAttribute("aria-label", `runs of ${told.experiment}`);
  rows(table, `Runs of ${told.experiment}`, told.runs.map((run) => [run.name, run.status, run.started, ...run.values.map(([, value]) => value)]));
}

function drawIn(item, name, figure) {
  const area = item.querySelector(".plot");
  area.setAttribute("aria-label", `${name}, as a plot`);
  draw(area, figure);
}

function heads(table, names) {
  table.tHead.rows[0].replaceChildren(...names.map((name) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    write(cell, name);
    return cell;
  }));
}
