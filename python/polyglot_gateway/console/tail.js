// A channel's events as they come, over one socket of the phoenix client, with nothing missing that is not told.

import { BASE } from "./api.js";
import { parse } from "./json.js";

const { Socket } = window.Phoenix;

/** What a reply or a close says of itself may be mended by waiting; these refusals are not. */
const FINAL = new Set([
  "unauthorized",
  "token_expired",
  "forbidden",
  "invalid_channel",
  "invalid_app",
  "not_found",
  "invalid_parameter",
]);

const ENDS = { 1012: "The gateway stops; connecting again.", 4008: "This page read too slowly; connecting again." };

function socketUrl() {
  const url = new URL("socket", BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function decode(text, take) {
  const [join_ref, ref, topic, event, payload] = parse(text);
  return take({ join_ref, ref, topic, event, payload });
}

export class Tail {
  /**
   * `told` has the methods `event(envelope)`, `gap(gap)`, `remark(text)` and `state(text, kind)`.
   * The key goes in a header field of the handshake, not in its URL.
   */
  constructor({ app, key }, told) {
    this.told = told;
    this.channel = null;
    this.socket = new Socket(socketUrl(), { params: { app_id: app }, authToken: key, decode });
    this.socket.onClose((event) => this.#closed(event));
    this.socket.onError(() => this.#lost("No connection; trying again. A gateway with SERVER=wsgi has no sockets."));
  }

  /** Follows this channel from now on, and no other. */
  open(name) {
    this.channel?.leave();
    this.lost = false;
    const position = {};
    const channel = this.socket.channel(name, () => ({ ...position }));
    const ours = (take) => (payload) => channel === this.channel && take(payload);
    this.channel = channel;
    this.told.state("Connecting…", "");
    channel.on(
      "event",
      ours((event) => {
        position.since = event.offset;
        this.told.event(event);
      }),
    );
    channel.on(
      "epoch",
      ours(({ epoch }) => Object.assign(position, { epoch })),
    );
    channel.on(
      "gap",
      ours((gap) => {
        Object.assign(position, { epoch: gap.epoch, since: gap.offset });
        this.told.gap(gap);
      }),
    );
    channel.onError(ours((reason) => reason?.error && this.#lost(reason.error)));
    channel
      .join()
      .receive(
        "ok",
        ours((reply) => this.#joined(position, reply)),
      )
      .receive(
        "error",
        ours((refusal) => this.#refused(refusal)),
      )
      .receive(
        "timeout",
        ours(() => this.#lost("The gateway does not answer; trying again.")),
      );
    this.#connect();
  }

  #connect() {
    try {
      if (!this.socket.isConnected()) this.socket.connect();
    } catch {
      // The name of a subprotocol, in which the key travels, cannot have every character.
      this.told.state(
        "Not followed: a browser cannot send this key for a socket; use one of letters and digits.",
        "bad",
      );
    }
  }

  #joined(position, { epoch, offset, recovered }) {
    // While a gap is still to come, the position from before it is the right one.
    position.epoch ??= epoch;
    position.since ??= offset;
    this.told.state("Live", "good");
    if (this.lost) {
      const missed = recovered ? Math.max(offset - position.since, 0) : 0;
      const all = missed ? `${missed} missed events follow` : "nothing was missed";
      this.told.remark(`Connected again after event ${position.since}: ${recovered ? all : "some events are gone"}.`);
    }
    this.lost = false;
  }

  #refused({ code, error }) {
    if (!FINAL.has(code)) return this.#lost(error);
    this.channel.leave();
    return this.told.state(`Not followed: ${error}`, "bad");
  }

  #closed({ code }) {
    if (this.channel) this.#lost(ENDS[code] ?? "The connection is lost; connecting again.");
  }

  #lost(why) {
    if (!this.lost) this.told.remark(why);
    this.lost = true;
    this.told.state("Connecting again…", "fair");
  }
}
