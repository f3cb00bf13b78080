// The form that publishes an event. The data is sent as it was written, byte for byte.

import { explain } from "./api.js";
import { byId, say } from "./dom.js";
import { fault } from "./json.js";

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class PublishForm {
  /** `published` is told the channel of each event that was taken. */
  constructor(api, published) {
    this.api = api;
    this.published = published;
    this.attempt = { target: "", body: "", key: "" };
    byId("publish").addEventListener("submit", (event) => this.#submit(event));
    byId("publish-data").addEventListener("input", () => this.#check());
  }

  open(channel) {
    byId("publish-channel").value = channel;
    say(byId("publish-answer"), "");
  }

  #check() {
    const wrong = fault(byId("publish-data").value);
    byId("publish-data").setAttribute("aria-invalid", String(Boolean(wrong)));
    say(byId("publish-check"), wrong, "bad");
    return !wrong;
  }

  async #submit(event) {
    event.preventDefault();
    if (!this.#check()) return byId("publish-data").focus();
    const channel = byId("publish-channel").value.trim();
    const data = byId("publish-data").value.trim();
    const body = `{"type":${JSON.stringify(byId("publish-type").value)},"data":${data}}`;
    const button = byId("publish").querySelector("[type=submit]");
    button.disabled = true;
    say(byId("publish-answer"), "Sending…");
    try {
      await this.#send(channel, body);
    } finally {
      button.disabled = false;
    }
    return undefined;
  }

  async #send(channel, body) {
    const target = this.api.pathOf(channel, "/publish");
    // Sent again with the key of the attempt whose end is not known, it becomes no second event.
    const again = target === this.attempt.target && body === this.attempt.body;
    if (!again) this.attempt = { target, body, key: newKey() };
    try {
      const headers = { "Content-Type": "application/json", "Idempotency-Key": this.attempt.key };
      const ack = await this.api.json(target, { method: "POST", body, headers });
      this.attempt = { target: "", body: "", key: "" };
      const kept = `Published as event ${ack.offset} of ${channel} (${ack.id}).`;
      say(byId("publish-answer"), ack.spooled ? `Taken, and waits for the engine (${ack.id}).` : kept, "good");
      this.published(channel);
    } catch (problem) {
      const message = explain(problem);
      const unknown =
        problem.code === "unreachable"
          ? " Whether it was kept is not known; to press Publish again makes no second one."
          : "";
      const name = problem.code && problem.status ? ` (${problem.status} ${problem.code})` : "";
      say(byId("publish-answer"), unknown ? `${message}${unknown}` : `Not published: ${message}${name}`, "bad");
    }
  }
}
