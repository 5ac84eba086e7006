// SPDX-License-Identifier: GPL-2.0-or-later
// The server's messages as bytes, written from docs/protocol/websocket.md and from nothing else:
// the other half of web/js/protocol.js, for tests.

// Fields in order: [kind, value]; kinds are u8, u16, u32, u64, i32 and bytes.
function pack(littleEndian, fields) {
	const sizes = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8 };
	const size = fields.reduce((n, [kind, value]) => n + (sizes[kind] ?? value.length), 0);
	const view = new DataView(new ArrayBuffer(size));
	let at = 0;
	for (const [kind, value] of fields) {
		switch (kind) {
		case 'u8':
			view.setUint8(at, value);
			break;
		case 'u16':
			view.setUint16(at, value, littleEndian);
			break;
		case 'u32':
			view.setUint32(at, value, littleEndian);
			break;
		case 'i32':
			view.setInt32(at, value, littleEndian);
			break;
		case 'u64':
			view.setBigUint64(at, BigInt(value), littleEndian);
			break;
		default:
			new Uint8Array(view.buffer).set(value, at);
		}
		at += sizes[kind] ?? value.length;
	}
	return view.buffer;
}

const big = (...fields) => pack(false, fields);
const little = (...fields) => pack(true, fields);
const utf8 = (text) => new TextEncoder().encode(text);
const short = (text) => [['u8', utf8(text).length], ['bytes', utf8(text)]];

export const videoFrame = ({ codec = 1, key, replay = false, pts, width, height, data }) =>
	big(['u8', 0x01], ['u8', codec], ['u8', (key ? 1 : 0) | (replay ? 2 : 0)], ['u64', pts],
		['u16', width], ['u16', height], ['bytes', data]);

export const streamInit = ({ codec, width, height, fps, channels, sampleRate, touch }) =>
	big(['u8', 0x30], ['u8', codec], ['u16', width], ['u16', height], ['u8', fps],
		['u8', channels], ['u32', sampleRate], ['u8', touch ? 1 : 0]);

export const streamError = (text) =>
	big(['u8', 0x31], ['u16', utf8(text).length], ['bytes', utf8(text)]);

export const pong = ({ seq, clientTime, serverTime, pipelineMs, lateP50Ms, lateP99Ms, lateMaxMs }) =>
	big(['u8', 0x41], ['u32', seq], ['u64', clientTime], ['u64', serverTime], ['u16', pipelineMs],
		['u16', lateP50Ms], ['u16', lateP99Ms], ['u16', lateMaxMs]);

export function cursorImage({ lastMover, x, y, hotX, hotY, width, height, stride, pixels }) {
	const head = [['u8', 0x50], ['u32', lastMover], ['i32', x], ['i32', y], ['i32', hotX],
		['i32', hotY]];
	return pixels
		? little(...head, ['u32', 16 + pixels.length], ['u32', 0x34324241], ['u32', width],
			['u32', height], ['i32', stride ?? 4 * width], ['bytes', pixels])
		: little(...head, ['u32', 0]);
}

export const cursorName = ({ lastMover, hotX, hotY, name }) =>
	little(['u8', 0x51], ['u32', lastMover], ['i32', hotX], ['i32', hotY], ...short(name));

export const remoteCursor = ({ clientId, x, y, colour }) =>
	little(['u8', 0x53], ['u32', clientId], ['i32', x], ['i32', y], ...short(colour));

export const remoteUser = ({ joined, clientId, name, colour, avatar }) =>
	joined
		? little(['u8', 0x54], ['u8', 1], ['u32', clientId], ...short(name), ...short(colour),
			['u16', utf8(avatar).length], ['bytes', utf8(avatar)])
		: little(['u8', 0x54], ['u8', 0], ['u32', clientId]);

export const agentCursor = ({ agentId, x, y, action, visible }) =>
	little(['u8', 0x55], ['u32', agentId], ['u16', x], ['u16', y], ['u8', action],
		['u8', visible ? 1 : 0]);

export const remoteTouch = ({ clientId, touchId, event, x, y, pressure, colour }) =>
	little(['u8', 0x56], ['u32', clientId], ['u32', touchId], ['u8', event], ['i32', x], ['i32', y],
		['u32', Math.round(pressure * 65535)], ...short(colour));

export const selfId = ({ clientId }) => little(['u8', 0x58], ['u32', clientId]);

export const clipboard = ({ generation, available, text, image, ours }) =>
	big(['u8', 0x5b], ['u32', generation], ['u8', available | text << 1 | image << 2 | ours << 3]);

export const frameTimes = ({ pts, sequence, encodedUs, receivedUs, sentUs, skipped }) =>
	big(['u8', 0x5a], ['u64', pts], ['u32', sequence], ['u32', encodedUs], ['u32', receivedUs],
		['u32', sentUs], ['u32', skipped]);

export const audioFrame = ({ channels, pts, data }) =>
	big(['u8', 0x02], ['u8', channels], ['u64', pts], ['bytes', data]);
