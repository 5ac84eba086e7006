// SPDX-License-Identifier: GPL-2.0-or-later
// The WebSocket to a desktop: the one place that decides when to connect, to give up a connection,
// and to connect again (docs/protocol/websocket.md, 3). No other module retries anything.
//
// State names, with what else is in the state object:
//   connecting                   the socket is being opened
//   waiting                      open; no picture so far
//   live                         pictures are painted (or nothing changes)
//   stalled                      nothing comes; will be given up soon
//   no-picture {text}            the server says why it has none; frames may follow
//   retrying {at, attempt}       the next attempt is made at that time (of env.now)
//   hidden                       waits for the page to be visible before it connects again
//   ended {reason}               only the user can go on: superseded, broken, refused, missing,
//                                gave-up, undecodable, closed

import { ClockEstimate } from './clock.js';
import { decode, decodeText, encodeControl, encodePing, Type } from './protocol.js';

const CONNECT_MS = 15000;
const FIRST_FRAME_MS = 15000;
const PING_MS = 500;
const STALL_MS = 5000;
const DEAD_MS = 10000;
const UNPAINTED_MS = 4000; // frames come and none is painted: ask for a keyframe
const ATTEMPTS_MAX = 10;
const BACKOFF_MAX_MS = 30000;
const TRY_LATER_MS = 5000;
const KEYFRAME_REST_MS = 1000;

// What a close code means to us. 'soon': at once the first time, then with back-off.
const closeActions = new Map([
	[1000, { retry: true }],
	[1001, { retry: true }],
	[1002, { end: 'broken' }],
	[1003, { end: 'broken' }],
	[1006, { retry: true, soon: true }],
	[1007, { end: 'broken' }],
	[1008, { retry: true }],
	[1009, { end: 'broken' }],
	[1010, { end: 'broken' }],
	[1011, { retry: true }],
	[1012, { retry: true, soon: true }],
	[1013, { retry: true, atLeast: TRY_LATER_MS }],
	[4000, { end: 'superseded' }],
]);

/** The action for a close code: {end: reason}, or {retry: true, soon?, atLeast?}. */
export function closeAction(code) {
	return closeActions.get(code) ?? { retry: true };
}

/** Delay before attempt `n` (from 1), in ms. */
export function backoff(n, random) {
	return Math.min(1000 * 2 ** (n - 1), BACKOFF_MAX_MS) * (0.5 + random() / 2);
}

export const browserEnv = {
	WebSocket: globalThis.WebSocket,
	now: () => performance.now(),
	random: Math.random,
	setTimeout: (f, ms) => setTimeout(f, ms),
	clearTimeout: (id) => clearTimeout(id),
	hidden: () => document.hidden,
};

export class Connection {
	#url;
	#init;
	#handlers;
	#env;
	#socket = null;
	#timer = null;
	#state = { name: 'ended', reason: 'closed' };
	#attempts = 0; // since a frame was painted
	#userRetry = false;
	#seq = 0;
	#videoEnabled = true;
	// Times, of env.now(); of this connection.
	#since = 0; // it is being opened, or open
	#heard = 0;
	#framesSince = 0; // frames came since then, and none was painted; 0: none came
	#sawFrame = false;
	#sawError = false;
	#rescued = false; // a keyframe was asked for on that account
	#keyframeAsked = -Infinity;

	clock = new ClockEstimate();

	/**
	 * @param {object} options
	 * @param {string} options.url
	 * @param {object} options.init the first message's keys, without `type`
	 * @param {object} options.handlers state(state), message(msg), text(object), opened(), reset():
	 *   what was decoded so far is worth nothing; probe(): why the server refused the handshake, a
	 *   promise of 'refused', 'missing' or ''
	 */
	constructor({ url, init, handlers, env = browserEnv }) {
		this.#url = url;
		this.#init = init;
		this.#handlers = handlers;
		this.#env = env;
	}

	get state() {
		return this.#state;
	}

	/** Whether messages can be sent. */
	get open() {
		return this.#socket !== null && this.#socket.readyState === 1;
	}

	/** Bytes that wait in the browser to be sent. */
	get backlog() {
		return this.#socket?.bufferedAmount ?? 0;
	}

	/** Connects; also the user's own retry, which begins with a full budget. */
	start() {
		this.#userRetry = this.#attempts > 0 || this.#state.reason !== 'closed';
		this.#attempts = 0;
		this.#connect();
	}

	/** Ends for good, until start(). */
	stop(reason = 'closed') {
		this.#drop();
		this.#setState({ name: 'ended', reason });
	}

	send(buffer) {
		if (this.open) {
			this.#socket.send(buffer);
		}
	}

	/** Stops and resumes frames for this viewer alone. The first one after it is a keyframe. */
	setVideoEnabled(enabled) {
		if (enabled !== this.#videoEnabled) {
			this.#videoEnabled = enabled;
			this.#framesSince = 0;
			this.send(encodeControl({ set_video_enabled: enabled }));
		}
	}

	/** The decoder cannot go on without a keyframe: off and on again brings one. */
	askKeyframe() {
		const now = this.#env.now();
		if (this.#videoEnabled && now - this.#keyframeAsked >= KEYFRAME_REST_MS) {
			this.#keyframeAsked = now;
			this.send(encodeControl({ set_video_enabled: false }));
			this.send(encodeControl({ set_video_enabled: true }));
		}
	}

	/** A frame of this connection was painted. */
	painted() {
		this.#attempts = 0;
		this.#userRetry = false;
		this.#framesSince = 0;
		this.#rescued = false;
		if (this.#socket && this.#state.name !== 'live') {
			this.#setState({ name: 'live' });
		}
	}

	/** The page became visible or hidden, or the network came back. */
	wake() {
		const now = this.#env.now();
		if (this.#env.hidden()) {
			return;
		}
		if (this.#state.name === 'hidden' || this.#state.name === 'retrying') {
			this.#connect();
		} else if (this.#socket) {
			// Timers hardly ran: silence so far tells nothing.
			this.#heard = now;
			this.#since = Math.max(this.#since, now - CONNECT_MS + 2000);
			this.#framesSince = 0;
		}
	}

	/** The network came back: what is open may be dead, and a retry need not wait. */
	online() {
		if (this.#state.name === 'retrying') {
			this.#connect();
		} else if (this.open) {
			this.#ping();
		}
	}

	#setState(state) {
		this.#state = state;
		this.#handlers.state(state);
	}

	#setTimer(ms, f) {
		this.#env.clearTimeout(this.#timer);
		this.#timer = this.#env.setTimeout(f, ms);
	}

	// Forgets the socket; whatever it still says is not heard.
	#drop() {
		this.#env.clearTimeout(this.#timer);
		const socket = this.#socket;
		this.#socket = null;
		if (socket) {
			socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
			socket.close();
		}
		this.clock.reset();
	}

	#connect() {
		this.#drop();
		this.#attempts++;
		this.#since = this.#heard = this.#env.now();
		this.#framesSince = 0;
		this.#sawFrame = this.#sawError = this.#rescued = false;
		this.#handlers.reset();
		this.#setState({ name: 'connecting', attempt: this.#attempts });
		const socket = new this.#env.WebSocket(this.#url);
		let opened = false;
		this.#socket = socket;
		socket.binaryType = 'arraybuffer';
		socket.onopen = () => {
			opened = true;
			this.#handleOpen();
		};
		socket.onmessage = (event) => this.#handleMessage(event.data);
		socket.onclose = (event) => this.#handleClose(event.code, opened);
		this.#setTimer(PING_MS, () => this.#tick());
	}

	#handleOpen() {
		this.#since = this.#heard = this.#env.now();
		this.#setState({ name: 'waiting' });
		const init = { ...this.#init, user_retry: this.#userRetry };
		this.#socket.send(JSON.stringify({ type: 'init', ...init }));
		if (!this.#videoEnabled) {
			this.send(encodeControl({ set_video_enabled: false }));
		}
		this.#ping();
		this.#handlers.opened();
	}

	#handleMessage(data) {
		const now = this.#env.now();
		this.#heard = now;
		if (this.#state.name === 'stalled') {
			this.#setState({ name: this.#sawFrame ? 'live' : 'waiting' });
		}
		if (typeof data === 'string') {
			const object = decodeText(data);
			if (typeof object?.error === 'string') {
				this.#handleError(object.error);
			} else if (object) {
				this.#handlers.text?.(object);
			}
			return;
		}
		const msg = decode(data);
		if (msg?.type === Type.PONG) {
			this.clock.add(msg.clientTime, now * 1000, msg.serverTime);
		} else if (msg?.type === Type.STREAM_ERROR) {
			this.#handleError(msg.text);
		} else if (msg?.type === Type.VIDEO_FRAME) {
			this.#sawFrame = true;
			this.#framesSince ||= now;
		}
		if (msg) {
			this.#handlers.message(msg);
		}
	}

	#handleError(text) {
		this.#sawError = true;
		this.#setState({ name: 'no-picture', text });
	}

	async #handleClose(code, opened) {
		this.#drop();
		const action = closeAction(code);
		if (action.end) {
			this.#setState({ name: 'ended', reason: action.end });
			return;
		}
		if (opened) {
			this.#retry(action);
			return;
		}
		// A refused handshake looks like any other failure to a script: ask in another way.
		this.#setState({ name: 'connecting', attempt: this.#attempts });
		const state = this.#state;
		const why = await this.#handlers.probe?.();
		if (this.#state !== state) {
			return; // started or stopped meanwhile
		}
		if (why) {
			this.#setState({ name: 'ended', reason: why });
		} else {
			this.#retry({});
		}
	}

	#retry({ soon = false, atLeast = 0 }) {
		if (this.#attempts >= ATTEMPTS_MAX) {
			this.#setState({ name: 'ended', reason: 'gave-up' });
			return;
		}
		if (this.#env.hidden()) {
			this.#setState({ name: 'hidden' });
			return;
		}
		const fresh = this.#attempts === 0; // it had painted
		const delay = soon && fresh
			? 0
			: Math.max(backoff(Math.max(this.#attempts, 1), this.#env.random), atLeast);
		this.#setState({
			name: 'retrying',
			at: this.#env.now() + delay,
			attempt: this.#attempts + 1,
		});
		this.#setTimer(delay, () => this.#connect());
	}

	#ping() {
		this.send(encodePing(++this.#seq >>> 0, this.#env.now() * 1000));
	}

	// Twice a second while there is a socket.
	#tick() {
		this.#setTimer(PING_MS, () => this.#tick());
		if (this.open) {
			this.#ping();
		}
		if (!this.#env.hidden()) {
			this.#watch();
		}
	}

	#giveUp() {
		this.#drop();
		this.#retry({ soon: true });
	}

	#watch() {
		const now = this.#env.now();
		const name = this.#state.name;
		if (name === 'connecting') {
			if (now - this.#since >= CONNECT_MS) {
				this.#giveUp();
			}
			return;
		}
		const unpainted = this.#framesSince ? now - this.#framesSince : 0;
		if (now - this.#heard >= DEAD_MS || unpainted >= 2 * UNPAINTED_MS) {
			this.#giveUp();
		} else if (!this.#sawFrame && !this.#sawError && this.#videoEnabled &&
			now - this.#since >= FIRST_FRAME_MS) {
			this.#giveUp();
		} else if (now - this.#heard >= STALL_MS && name !== 'stalled') {
			this.#setState({ name: 'stalled' });
		} else if (unpainted >= UNPAINTED_MS && !this.#rescued) {
			this.#rescued = true;
			this.#handlers.reset();
			this.askKeyframe();
		}
	}
}
