// Trainings epoch by epoch: each that goes on is followed live.

import {askCancel} from "./dialogs.js";
import {byId, fill, show} from "./dom.js";
import {draw, lossFigure, redraw} from "./plots.js";
import {call, follow, get} from "./service.js";
import {score} from "./words.js";

const SHOWN = 8, DRAW_MILLISECONDS = 250;
const GOES_ON = ["pending", "running", "paused"];
const followed = new Map(); // by task: what ends following it

/** Show the latest trainings, and follow those that are open. */
export async function showTrainings(told) {
  const {tasks} = await get(`/api/v1/epoch-training/tasks?limit=${SHOWN}`);
  byId("trainings").hidden = false;
  byId("no-trainings").hidden = tasks.length > 0;
  show(byId("training-list"), "training", tasks, (task) => task.task_id, (element, task) => {
    element.task = task;
    if (!element.dataset.known) begin(element, told);
    showState(element, task);
  });
}

/** Follow nothing any more. */
export function leaveTrainings() {
  for (const stop of followed.values()) stop.abort();
  followed.clear();
  byId("training-list").replaceChildren();
}

function begin(element, told) {
  element.dataset.known = "yes";
  element.epochs = [];
  const details = element.querySelector("details"), {task_id: id} = element.task;
  details.addEventListener("toggle", () => (details.open ? listen(element) : null));
  for (const verb of ["pause", "resume"]) {
    element.querySelector(`[data-do="${verb}"]`).addEventListener("click", async () => {
      try {
        const {message} = await call("POST", `/api/v1/epoch-training/${verb}/${id}`);
        told(`${element.task.name}: ${message}.`);
      } catch (error) {
        told(error.message);
      }
    });
  }
  element.querySelector('[data-do="cancel"]').addEventListener("click", () => askCancel(element.task, told));
}

function listen(element) {
  const id = element.task.task_id, stop = new AbortController();
  if (followed.has(id)) return redraw();
  followed.set(id, stop);
  let due = null;
  follow(`/api/v1/epoch-training/stream-progress/${id}`, stop.signal, (event) => {
    if (event.type === "progress") element.epochs.push(event.progress.latest_metrics), (element.best = event.progress.best_metrics);
    due ??= setTimeout(() => ((due = null), showCurve(element)), DRAW_MILLISECONDS);
  });
}

function showState(element, task) {
  if (["running", "paused"].includes(task.training_state) && !element.dataset.opened) {
    element.dataset.opened = "yes";
    element.querySelector("details").open = true;
  }
  const going = GOES_ON.includes(task.training_state);
  const asked = going && task.desired === "cancel" ? "ending" : going && task.desired === "pause" && task.training_state === "running" ? "pausing" : task.training_state;
  fill(element, {name: task.name, state: asked, reason: task.reason === task.training_state ? "" : (task.reason ?? ""), epoch: epochText(element)});
  element.querySelector(".chip").dataset.state = asked;
  const buttons = {pause: going && task.desired === "run", resume: going && task.desired === "pause", cancel: going && task.desired !== "cancel"};
  for (const [verb, useful] of Object.entries(buttons)) {
    const button = element.querySelector(`[data-do="${verb}"]`);
    const focused = document.activeElement === button;
    button.hidden = !useful;
    if (focused && !useful) (element.querySelector(".actions button:not([hidden])") ?? element.querySelector("summary")).focus();
    button.setAttribute("aria-label", `${button.textContent.replace("…", "")} ${task.name}`);
  }
}

function showCurve(element) {
  const {epochs, task, best} = element, latest = epochs.at(-1);
  const bar = element.querySelector("progress");
  bar.setAttribute("aria-label", `epochs of ${task.name}`);
  bar.max = task.total_epochs;
  bar.value = epochs.length;
  fill(element, {epoch: epochText(element), figures: latest ? figures(latest, best) : ""});
  const area = element.querySelector('[data-plot="loss"]');
  area.hidden = !latest;
  if (!latest) return;
  area.setAttribute("aria-label", `loss over ${epochs.length} epochs of ${task.name}: training ${latest.train_loss.toPrecision(3)}, validation ${latest.val_loss?.toPrecision(3) ?? "none"}`);
  draw(area, lossFigure(epochs));
}

function figures(latest, best) {
  const accuracy = latest.val_accuracy === null ? "" : `, accuracy ${score(latest.val_accuracy, "accuracy")}`;
  const lowest = best?.epoch ? `; lowest ${best.loss.toPrecision(3)} after epoch ${best.epoch}` : "";
  return `Training loss ${latest.train_loss.toPrecision(3)}, validation ${latest.val_loss?.toPrecision(3) ?? "–"}${accuracy}${lowest}.`;
}

const epochText = ({epochs, task}) => (epochs.length ? `epoch ${epochs.length} of ${task.total_epochs}` : `${task.total_epochs} epochs`);
