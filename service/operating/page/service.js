// The service's own API, with the token that the person gave. The token lies in this tab's session storage: no cookie
// goes to other ports of the machine, and nothing is done for a page that does not hold it.

const KEY = "lehr.token";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Nothing answered. */
export class Unreachable extends Error {}

export const signedIn = () => sessionStorage.getItem(KEY) !== null;
export const signIn = (token) => sessionStorage.setItem(KEY, token);
export const signOut = () => sessionStorage.removeItem(KEY);

/** What a route answers; throws Refused with the service's reason, and Unreachable where there is no answer. */
export async function call(method, path, body, key) {
  const answer = await reach(path, {method, ...sent(body, key), signal: AbortSignal.timeout(20_000)});
  if (!answer.ok) throw new Refused(answer.status, await detailOf(answer));
  return answer.json();
}

export const get = (path) => call("GET", path);

/** A key under which a request is done once, however often it is sent. */
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

/** Hands over each server-sent event of a path; after a lost connection it goes on after the last one. */
export async function follow(path, signal, hear) {
  let last = 0;
  for (let wait = 500; !signal.aborted; wait = Math.min(2 * wait, 10_000)) {
    try {
      const answer = await reach(path, {headers: {...headers(), "Last-Event-ID": String(last)}, signal});
      if (answer.status === 204 || answer.status === 401 || answer.status === 404) return;
      if (answer.ok) {
        for await (const event of eventsOf(answer.body)) {
          [last, wait] = [event.id, 500];
          hear(event.data);
          if (event.data.type === "complete" || event.data.type === "error") return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Unreachable)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function reach(path, how) {
  try {
    return await fetch(path, {...how, cache: "no-store"});
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const {done, value} = await read(reader);
    if (done) return;
    text += value;
    const whole = text.split(/\r?\n\r?\n/);
    text = whole.pop();
    for (const event of whole) {
      const fields = Object.fromEntries(event.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s, 2)));
      if (fields.data) yield {id: Number(fields.id), data: JSON.parse(fields.data)};
    }
  }
}

const headers = () => ({Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}`});

function sent(body, key) {
  const more = {...(body && {"Content-Type": "application/json"}), ...(key && {"Idempotency-Key": key})};
  return {headers: {...headers(), ...more}, ...(body && {body: JSON.stringify(body)})};
}

async function detailOf(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}
