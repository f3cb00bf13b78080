// The page: outside, where one signs in, or inside.

import { Api, Problem, explain } from "./api.js";
import { Channel } from "./channel.js";
import { Channels } from "./channels.js";
import { byId, say } from "./dom.js";
import { GatewayState } from "./gateway_state.js";
import * as session from "./session.js";
import { Traffic } from "./traffic.js";

const DEVELOPMENT_APP = "demo-app";

/** Whether the key is one of this app. A key that may not list channels is one all the same. */
async function check(api) {
  if (!/^[\x21-\x7e]+$/.test(api.key))
    throw new Problem({ code: "", error: "A key or token has no spaces and no letters beyond ASCII." });
  try {
    await api.json(`apps/${encodeURIComponent(api.app)}/channels?limit=1`);
  } catch (problem) {
    if (problem.code !== "forbidden") throw problem;
  }
}

async function signIn(app, key) {
  say(byId("sign-in-answer"), "");
  try {
    await check(new Api(app, key));
  } catch (problem) {
    say(byId("sign-in-answer"), explain(problem), "bad");
    return;
  }
  session.save(app, key);
  byId("sign-in").reset();
  inside(app, key);
  byId("inside").focus();
}

async function offerDevelopment() {
  try {
    byId("development").hidden = (await new Api().json("health")).env !== "dev";
  } catch {
    // The state in the head of the page tells of it.
  }
}

function outside() {
  byId("outside").hidden = false;
  say(byId("state"), "signed out");
  byId("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(byId("sign-in-app").value.trim(), byId("sign-in-key").value.trim());
  });
  byId("development").addEventListener("click", () => signIn(DEVELOPMENT_APP, `valid_key_${DEVELOPMENT_APP}`));
  byId("sign-in-app").focus();
  offerDevelopment();
}

function inside(app, key) {
  byId("outside").hidden = true;
  byId("inside").hidden = false;
  byId("visitor").hidden = false;
  say(byId("app"), app);
  byId("sign-out").addEventListener("click", () => {
    session.forget();
    location.reload();
  });
  const api = new Api(app, key);
  new GatewayState(api);
  new Traffic(api);
  const channel = new Channel(api, () => channels.refresh());
  const channels = new Channels(api, (name) => {
    channel.open(name);
    channels.mark(name);
  });
}

const known = session.load();
if (known) inside(known.app, known.key);
else outside();
