// SPDX-License-Identifier: GPL-2.0-or-later
// The messages of docs/protocol/websocket.md: bytes to objects and back. Pure. Section numbers are
// of that page. Byte order is mixed on purpose: video and control are big-endian, cursor and
// presence little-endian.

const LE = true;

export const Type = Object.freeze({
	VIDEO_FRAME: 0x01,
	AUDIO_FRAME: 0x02,
	STREAM_INIT: 0x30,
	STREAM_ERROR: 0x31,
	PONG: 0x41,
	CURSOR_IMAGE: 0x50,
	CURSOR_NAME: 0x51,
	REMOTE_CURSOR: 0x53,
	REMOTE_USER: 0x54,
	AGENT_CURSOR: 0x55,
	REMOTE_TOUCH: 0x56,
	SELF_ID: 0x58,
	FRAME_TIMES: 0x5a,
	CLIPBOARD: 0x5b,
	KEYBOARD: 0x10,
	MOUSE_BUTTON: 0x11,
	MOUSE_ABSOLUTE: 0x12,
	MOUSE_RELATIVE: 0x13,
	TOUCH: 0x14,
	MICROPHONE: 0x17,
	CONTROL: 0x20,
	PING: 0x40,
});

export const Modifier = Object.freeze({ SHIFT: 1, CTRL: 2, ALT: 4, META: 8 });
export const TouchEvent = Object.freeze({ DOWN: 0, MOVE: 1, UP: 2, CANCEL: 3 });

const CURSOR_RGBA = 0x34324241;
const CURSOR_SIDE_MAX = 512;
const text = new TextDecoder();

// Times are µs since 1970: they fit in a Number's 53 bits until the year 2255.
const u64 = (view, at) => Number(view.getBigUint64(at));

// A text of `n` bytes at `at`; what the message does not hold is missing from it.
const textAt = (view, at, n) =>
	text.decode(new Uint8Array(view.buffer, view.byteOffset + at, Math.min(n, view.byteLength - at)));

function videoFrame(v) {
	const flags = v.getUint8(2);
	return {
		codec: v.getUint8(1),
		key: (flags & 1) !== 0,
		replay: (flags & 2) !== 0,
		pts: u64(v, 3),
		width: v.getUint16(11),
		height: v.getUint16(13),
		data: new Uint8Array(v.buffer, v.byteOffset + 15),
	};
}

function audioFrame(v) {
	return {
		channels: v.getUint8(1),
		pts: u64(v, 2),
		data: new Uint8Array(v.buffer, v.byteOffset + 10),
	};
}

function streamInit(v) {
	return {
		codec: v.getUint8(1),
		width: v.getUint16(2),
		height: v.getUint16(4),
		fps: v.getUint8(6),
		channels: v.getUint8(7),
		sampleRate: v.getUint32(8),
		touch: v.getUint8(12) !== 0,
	};
}

// Older servers send a shorter tail: what is missing is 0.
function pong(v) {
	const tail = (at) => (v.byteLength >= at + 2 ? v.getUint16(at) : 0);
	return {
		seq: v.getUint32(1),
		clientTime: u64(v, 5),
		serverTime: u64(v, 13),
		pipelineMs: tail(21),
		lateP50Ms: tail(23),
		lateP99Ms: tail(25),
		lateMaxMs: tail(27),
	};
}

// `pixels` is null when only the place is another one, else width·height RGBA without gaps.
function cursorImage(v) {
	const msg = {
		lastMover: v.getUint32(1, LE),
		x: v.getInt32(5, LE),
		y: v.getInt32(9, LE),
		hotX: v.getInt32(13, LE),
		hotY: v.getInt32(17, LE),
		width: 0,
		height: 0,
		pixels: null,
	};
	if (v.getUint32(21, LE) === 0) {
		return msg;
	}
	if (v.byteLength < 41 || v.getUint32(25, LE) !== CURSOR_RGBA) {
		return null;
	}
	const width = v.getUint32(29, LE);
	const height = v.getUint32(33, LE);
	const stride = v.getInt32(37, LE);
	const fits = width > 0 && height > 0 && width <= CURSOR_SIDE_MAX && height <= CURSOR_SIDE_MAX &&
		stride >= 4 * width && v.byteLength >= 41 + stride * (height - 1) + 4 * width;
	if (!fits) {
		return null;
	}
	const pixels = new Uint8ClampedArray(4 * width * height);
	for (let y = 0; y < height; y++) {
		pixels.set(new Uint8Array(v.buffer, v.byteOffset + 41 + y * stride, 4 * width), 4 * width * y);
	}
	return { ...msg, width, height, pixels };
}

function cursorName(v) {
	return {
		lastMover: v.getUint32(1, LE),
		hotX: v.getInt32(5, LE),
		hotY: v.getInt32(9, LE),
		name: textAt(v, 14, v.getUint8(13)),
	};
}

function remoteCursor(v) {
	return {
		clientId: v.getUint32(1, LE),
		x: v.getInt32(5, LE),
		y: v.getInt32(9, LE),
		colour: textAt(v, 14, v.getUint8(13)),
	};
}

function remoteUser(v) {
	const joined = v.getUint8(1) === 1;
	const msg = { joined, clientId: v.getUint32(2, LE), name: '', colour: '', avatar: '' };
	if (!joined) {
		return msg;
	}
	let at = 6;
	const take = (lengthBytes) => {
		const n = lengthBytes === 2 ? v.getUint16(at, LE) : v.getUint8(at);
		const value = textAt(v, at + lengthBytes, n);
		at += lengthBytes + n;
		return value;
	};
	msg.name = take(1);
	msg.colour = take(1);
	msg.avatar = take(2);
	return msg;
}

function agentCursor(v) {
	return {
		agentId: v.getUint32(1, LE),
		x: v.getUint16(5, LE),
		y: v.getUint16(7, LE),
		action: v.getUint8(9),
		visible: v.getUint8(10) !== 0,
	};
}

function remoteTouch(v) {
	return {
		clientId: v.getUint32(1, LE),
		touchId: v.getUint32(5, LE),
		event: v.getUint8(9),
		x: v.getInt32(10, LE),
		y: v.getInt32(14, LE),
		pressure: v.getUint32(18, LE) / 65535,
		colour: textAt(v, 23, v.getUint8(22)),
	};
}

function frameTimes(v) {
	return {
		pts: u64(v, 1),
		sequence: v.getUint32(9),
		encodedUs: v.getUint32(13),
		receivedUs: v.getUint32(17),
		sentUs: v.getUint32(21),
		skipped: v.getUint32(25),
	};
}

function clipboard(v) {
	const flags = v.getUint8(5);
	return {
		generation: v.getUint32(1),
		available: (flags & 1) !== 0,
		text: (flags & 2) !== 0,
		image: (flags & 4) !== 0,
		ours: (flags & 8) !== 0,
	};
}

// Type: its smallest size and its decoder.
const decoders = new Map([
	[Type.VIDEO_FRAME, [15, videoFrame]],
	[Type.AUDIO_FRAME, [10, audioFrame]],
	[Type.STREAM_INIT, [13, streamInit]],
	[Type.STREAM_ERROR, [3, (v) => ({ text: textAt(v, 3, v.getUint16(1)) })]],
	[Type.PONG, [21, pong]],
	[Type.CURSOR_IMAGE, [25, cursorImage]],
	[Type.CURSOR_NAME, [14, cursorName]],
	[Type.REMOTE_CURSOR, [14, remoteCursor]],
	[Type.REMOTE_USER, [6, remoteUser]],
	[Type.AGENT_CURSOR, [11, agentCursor]],
	[Type.REMOTE_TOUCH, [23, remoteTouch]],
	[Type.SELF_ID, [5, (v) => ({ clientId: v.getUint32(1, LE) })]],
	[Type.FRAME_TIMES, [29, frameTimes]],
	[Type.CLIPBOARD, [6, clipboard]],
]);

/**
 * A binary message of the server as an object with `type`; null if it is of a type that is not
 * known, too short, or makes no sense. Video and sound point into `buffer`.
 * @param {ArrayBuffer} buffer
 */
export function decode(buffer) {
	const view = new DataView(buffer);
	const [size, decoder] = decoders.get(view.byteLength > 0 ? view.getUint8(0) : -1) ?? [Infinity];
	if (view.byteLength < size) {
		return null;
	}
	try {
		const msg = decoder(view);
		return msg && { type: view.getUint8(0), ...msg };
	} catch (error) {
		if (error instanceof RangeError) {
			return null; // a length within it points beyond its end
		}
		throw error;
	}
}

/** A text message of the server as an object; null if it is none. */
export function decodeText(message) {
	try {
		const object = JSON.parse(message);
		return object !== null && typeof object === 'object' ? object : null;
	} catch {
		return null;
	}
}

// A message of `size` bytes that `fill` completes.
function make(type, size, fill) {
	const view = new DataView(new ArrayBuffer(size));
	view.setUint8(0, type);
	fill(view);
	return view.buffer;
}

const clamp = (value, low, high) => Math.min(Math.max(Math.round(value) || 0, low), high);
const i16 = (value) => clamp(value, -32768, 32767);

export function encodePing(seq, timeUs) {
	return make(Type.PING, 13, (v) => {
		v.setUint32(1, seq);
		v.setBigUint64(5, BigInt(Math.round(timeUs)));
	});
}

export function encodeControl(object) {
	const json = new TextEncoder().encode(JSON.stringify(object));
	return make(Type.CONTROL, 1 + json.length, (v) => new Uint8Array(v.buffer).set(json, 1));
}

/** A key by its place: Linux evdev code. */
export function encodeKey(code, down, modifiers) {
	return make(Type.KEYBOARD, 6, (v) => {
		v.setUint8(2, down ? 1 : 0);
		v.setUint8(3, modifiers);
		v.setUint16(4, code);
	});
}

/** A key by its meaning, pressed and released: X11 keysym. */
export function encodeKeysymTap(keysym, modifiers) {
	return make(Type.KEYBOARD, 7, (v) => {
		v.setUint8(1, 3);
		v.setUint8(2, modifiers);
		v.setUint32(3, keysym);
	});
}

/** Buttons: 1 left, 2 middle, 3 right, 4 back, 5 forward. */
export function encodeButton(button, down) {
	return make(Type.MOUSE_BUTTON, 4, (v) => {
		v.setUint8(1, 2);
		v.setUint8(2, down ? 1 : 0);
		v.setUint8(3, button);
	});
}

/** A browser's pixels, down and right positive. */
export function encodeWheel(dx, dy) {
	return make(Type.MOUSE_BUTTON, 10, (v) => {
		v.setUint8(1, 3);
		v.setFloat32(2, dx, LE);
		v.setFloat32(6, dy, LE);
	});
}

export function encodeAbsolute(x, y, width, height) {
	return make(Type.MOUSE_ABSOLUTE, 10, (v) => {
		v.setUint8(1, 1);
		v.setInt16(2, i16(x));
		v.setInt16(4, i16(y));
		v.setInt16(6, i16(width));
		v.setInt16(8, i16(height));
	});
}

export function encodeRelative(dx, dy) {
	return make(Type.MOUSE_RELATIVE, 6, (v) => {
		v.setInt16(2, i16(dx));
		v.setInt16(4, i16(dy));
	});
}

/** `x` and `y`: 0 to 1 of the desktop. */
export function encodeTouch(event, slot, x, y) {
	return make(Type.TOUCH, 11, (v) => {
		v.setUint8(1, event);
		v.setUint8(2, slot);
		v.setFloat32(3, x, LE);
		v.setFloat32(7, y, LE);
	});
}

/** Samples of a microphone, 48 kHz, mono: an Int16Array, at most 100 ms of them. */
export function encodeMicrophone(samples) {
	return make(Type.MICROPHONE, 1 + 2 * samples.length, (v) =>
		samples.forEach((sample, i) => v.setInt16(1 + 2 * i, sample, LE)));
}
