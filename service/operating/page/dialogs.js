// What a person is asked before something is done.

import {byId, fill, write} from "./dom.js";
import {Unreachable, call, newKey} from "./service.js";

let submit = null;

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector('[data-do="close"]').addEventListener("click", () => dialog.close());
  dialog.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = dialog.querySelector('[type="submit"]');
    button.disabled = true;
    try {
      await submit(new FormData(event.target));
      dialog.close();
    } catch (error) {
      write(dialog.querySelector(".error"), error instanceof Unreachable ? "The service does not answer." : error.message);
    } finally {
      button.disabled = false;
    }
  });
}

function ask(id, texts, send) {
  const dialog = byId(id);
  dialog.querySelector("form").reset();
  write(dialog.querySelector(".error"), "");
  fill(dialog, texts);
  submit = send;
  dialog.showModal();
}

/** A retrain of a pipeline. */
export function askRetrain(name, told) {
  const key = newKey();
  ask("retrain-dialog", {name}, async (given) => {
    const asked = {reason: given.get("reason"), action: given.get("action"), require_approval: given.has("require_approval")};
    if (given.get("strategy")) asked.strategy = given.get("strategy");
    if (given.get("epochs")) asked.epochs = Number(given.get("epochs"));
    await call("POST", `/api/v1/pipelines/${encodeURIComponent(name)}/retrain`, asked, key);
    told(`A retrain of ${name} was asked for.`);
  });
}

/** An earlier version of a pipeline back into production. */
export function askRollBack({name, champion, earlier}, told) {
  const key = newKey();
  const options = earlier.toReversed().map((version) => new Option(`version ${version}`, version));
  byId("roll-back-version").replaceChildren(new Option("the one that the champion replaced", ""), ...options);
  ask("roll-back-dialog", {name, champion}, async (given) => {
    const asked = {reason: given.get("reason"), ...(given.get("version") && {version: Number(given.get("version"))})};
    await call("POST", `/api/v1/pipelines/${encodeURIComponent(name)}/roll-back`, asked, key);
    told(`${name} is being rolled back.`);
  });
}

/** An answer to a candidate that waits. */
export function askAnswer(name, approval, approve, told) {
  const key = newKey(), verb = approve ? "Approve" : "Refuse", version = `version ${approval.version ?? "?"} of ${name}`;
  ask("answer-dialog", {title: `${verb} ${version}`, verb}, async (given) => {
    const path = `/api/v1/pipelines/${encodeURIComponent(name)}/approvals/${approval.run_id}`;
    await call("POST", path, {approve, reason: given.get("reason")}, key);
    told(`${version} was ${approve ? "approved" : "refused"}.`);
  });
}

/** The end of a training. */
export function askCancel(task, told) {
  ask("cancel-dialog", {name: task.name}, async () => {
    await call("POST", `/api/v1/epoch-training/cancel/${task.task_id}`);
    told(`${task.name} is being cancelled.`);
  });
}
