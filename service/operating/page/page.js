// The page of a plant: it looks every few seconds what has changed, and shows it.

import {byId, fill, write} from "./dom.js";
import {leaveExperiments, showExperiments} from "./experiments.js";
import {showApprovals, showPipelines} from "./pipelines.js";
import {Refused, Unreachable, get, signIn, signOut, signedIn} from "./service.js";
import {leaveTrainings, showTrainings} from "./trainings.js";
import {plural} from "./words.js";

const LOOK_MILLISECONDS = 2_000, HIDDEN_MILLISECONDS = 15_000, SAID_MILLISECONDS = 20_000;
let known = null, timer = null, looking = false, seenAt = null, saidUntil = null;

const may = (role) => known.roles.includes(role) || known.roles.includes("admin");

async function look() {
  clearTimeout(timer);
  if (looking || !signedIn()) return;
  looking = true;
  try {
    if (known === null) welcome(await get("/api/v1/token"));
    const {pipelines} = await get("/api/v1/pipelines");
    const waiting = may("promote") ? await showApprovals(pipelines, told) : 0;
    await Promise.all([showPipelines(pipelines, may, told), may("train") ? showTrainings(told) : null, showExperiments()]);
    write(byId("lede"), ledeOf(pipelines, waiting));
    connected();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return leave("The service does not know this token, or not any more.");
    if (error instanceof Refused && error.status === 403) return leave(`This token is not for this page: ${error.message}.`);
    if (!(error instanceof Refused) && !(error instanceof Unreachable)) throw error;
    lost(error);
  } finally {
    looking = false;
    if (signedIn()) timer = setTimeout(look, document.hidden ? HIDDEN_MILLISECONDS : LOOK_MILLISECONDS);
  }
}

function ledeOf(pipelines, waiting) {
  if (pipelines.length === 0) return "Nothing is set up yet.";
  const serving = pipelines.filter((state) => state.champion !== null).length;
  const files = pipelines.reduce((sum, state) => sum + (state.waiting ?? 0), 0);
  const said = [`${plural(pipelines.length, "pipeline")}, ${serving === pipelines.length && serving > 0 ? (serving === 1 ? "in production" : "all in production") : `${serving} in production`}`];
  said.push(`${plural(files, "file")} ${files === 1 ? "waits" : "wait"} to be learned from`);
  if (waiting) said.push(`${plural(waiting, "version")} ${waiting === 1 ? "waits" : "wait"} for a person`);
  const text = said.join("; ");
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function welcome(token) {
  known = token;
  fill(byId("who"), {who: `${token.name} (${token.roles.join(", ")})`});
  byId("who").hidden = byId("plant").hidden = false;
  byId("sign-in").hidden = true;
  byId("plant").querySelector("h1").focus();
}

function leave(reason) {
  signOut();
  clearTimeout(timer);
  leaveTrainings();
  leaveExperiments();
  known = seenAt = null;
  byId("who").hidden = byId("plant").hidden = true;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const list of ["pipeline-list", "approval-list", "idle-list"]) byId(list).replaceChildren();
  state("", "");
  write(byId("sign-in").querySelector(".error"), reason);
  byId("sign-in").hidden = false;
  byId("token").focus();
}

function connected() {
  seenAt = new Date();
  state("live", "live");
}

function lost(error) {
  const since = seenAt ? ` since ${seenAt.toLocaleTimeString()}` : "";
  state("lost", error instanceof Refused ? `the service fails: ${error.message}` : `the service does not answer${since}; trying again`);
}

function state(name, text) {
  byId("connection").dataset.state = name;
  byId("plant").toggleAttribute("data-lost", name === "lost");
  write(byId("connection"), text);
}

function told(text) {
  write(byId("done"), text);
  clearTimeout(saidUntil);
  saidUntil = setTimeout(() => write(byId("done"), ""), SAID_MILLISECONDS);
  look();
}

byId("sign-in").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value.trim());
  byId("token").value = "";
  write(byId("sign-in").querySelector(".error"), "");
  look();
});
byId("sign-out").addEventListener("click", () => leave(""));
document.addEventListener("visibilitychange", () => document.hidden || look());
window.addEventListener("online", look);

if (signedIn()) look();
else leave("");
