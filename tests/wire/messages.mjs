// SPDX-License-Identifier: GPL-2.0-or-later
// The layouts of docs/protocol/websocket.md, written from that page alone: each as a line that says what its table says.
// "TYPE name", or "TYPE=value" for what is always the same. s8 and s16 are UTF-8 behind a length; bytes, json and samples
// take all the rest. A decoder wants just these bytes: what is longer or shorter is an error.

const NUMBERS = {
	u8: [1, 'UInt8'], i8: [1, 'Int8'], u16: [2, 'UInt16'], i16: [2, 'Int16'], u32: [4, 'UInt32'], i32: [4, 'Int32'],
	u64: [8, 'BigUInt64'], f32: [4, 'Float'],
};

export const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function layout(endian, type, fields, check = () => true) {
	return {
		type, endian, check,
		fields: fields.split(', ').map((field) => {
			const [, kind, le, constant, name] = /^([a-z]+\d*?)(le)?(?:=(\w+)| (\w+))$/.exec(field);
			const [size, method] = NUMBERS[kind] ?? [];
			return { kind, name, size, constant: constant && Number(constant),
				method: size > 1 ? method + (le ? 'LE' : endian) : method };
		}),
	};
}

const big = (...rest) => layout('BE', ...rest);
const little = (...rest) => layout('LE', ...rest);
const isColour = (text) => /^#[0-9a-fA-F]{6}$/.test(text);

// Section 4. Where a type has several layouts, their constants tell them apart; the first that fits counts.
export const fromServer = {
	VideoFrame: big(0x01, 'u8=1, u8 flags, u64 pts, u16 width, u16 height, bytes unit', (m) => m.unit.length > 0),
	AudioFrame: big(0x02, 'u8=2, u64 pts, bytes packet', (m) => m.packet.length > 0),
	StreamInit: big(0x30, 'u8=1, u16 width, u16 height, u8 fps, u8 channels, u32 sampleRate, u8 touch'),
	StreamError: big(0x31, 's16 text'),
	Pong: big(0x41, 'u32 sequence, u64 clientTime, u64 serverTime, u16 latency, u16 lateMedian, u16 late99, u16 lateMax',
		(m) => m.lateMedian <= m.late99 && m.late99 <= m.lateMax),
	CursorPosition: little(0x50, 'u32 mover, i32 x, i32 y, i32 hotX, i32 hotY, u32=0'),
	CursorImage: little(0x50, 'u32 mover, i32 x, i32 y, i32 hotX, i32 hotY, u32 size, u32=0x34324241, u32 width, ' +
		'u32 height, i32 stride, bytes pixels',
	(m) => m.size === 16 + m.pixels.length && m.stride === 4 * m.width && m.pixels.length === m.stride * m.height),
	CursorName: little(0x51, 'u32 mover, i32 hotX, i32 hotY, s8 cursor'),
	RemoteCursor: little(0x53, 'u32 client, i32 x, i32 y, s8 colour', (m) => isColour(m.colour)),
	RemoteUserJoined: little(0x54, 'u8=1, u32 client, s8 user, s8 colour, s16 avatar', (m) => isColour(m.colour)),
	RemoteUserLeft: little(0x54, 'u8=0, u32 client'),
	AgentCursor: little(0x55, 'u32 agent, u16 x, u16 y, u8 action, u8 visible'),
	RemoteTouch: little(0x56, 'u32 client, u32 touch, u8 event, i32 x, i32 y, u32 pressure, s8 colour',
		(m) => m.event <= 3 && m.pressure <= 65535 && isColour(m.colour)),
	SelfId: little(0x58, 'u32 client', (m) => m.client > 0),
	FrameTimes: big(0x5a, 'u64 pts, u32 sequence, u32 encoded, u32 received, u32 sent, u32 missed'),
	Clipboard: big(0x5b, 'u32 generation, u8 flags',
		(m) => m.flags < 16 && ((m.flags & 1) === 1 || (m.flags === 0 && m.generation === 0))),
};

// Sections 5 and 6: two sets of types for the same layouts
const input = (keyboard, mouse, absolute, relative, touch) => ({
	Key: big(keyboard, 'u8=0, u8 down, u8 modifiers, u16 code'),
	KeySym: big(keyboard, 'u8=2, u8 down, u8 modifiers, u32 keysym'),
	KeyTap: big(keyboard, 'u8=3, u8 modifiers, u32 keysym'),
	Button: big(mouse, 'u8=2, u8 down, u8 button'),
	Wheel: big(mouse, 'u8=3, f32le dx, f32le dy'),
	WheelTens: big(mouse, 'u8=4, i8 dx, i8 dy'),
	Absolute: big(absolute, 'u8=1, i16 x, i16 y, i16 width, i16 height'),
	Relative: big(relative, 'u8=0, i16 dx, i16 dy'),
	Touch: big(touch, 'u8 event, u8 slot, f32le x, f32le y'),
});
export const toStream = {
	Ping: big(0x40, 'u32 sequence, u64 time'),
	Control: big(0x20, 'json value'),
	...input(0x10, 0x11, 0x12, 0x13, 0x14),
	Microphone: big(0x17, 'samples samples'),
};
export const toInput = {
	...input(0x01, 0x02, 0x03, 0x04, 0x06),
	Scroll: big(0x05, 'u8 unit, u8 flags, f32le dx, f32le dy'),
};

function number(kind, endian, value) {
	const [size, method] = NUMBERS[kind];
	const bytes = Buffer.alloc(size);
	bytes[`write${method}${size > 1 ? endian : ''}`](value);
	return bytes;
}

function encodeField({ kind, size, method }, endian, value) {
	if (size) {
		const bytes = Buffer.alloc(size);
		bytes[`write${method}`](kind === 'u64' ? BigInt(value) : value);
		return [bytes];
	}
	switch (kind) {
	case 's8': case 's16':
		return [number(`u${kind.slice(1)}`, endian, Buffer.byteLength(value)), Buffer.from(value)];
	case 'samples':
		return value.map((sample) => number('i16', 'LE', sample));
	case 'json':
		return [Buffer.from(JSON.stringify(value))];
	default:
		return [Buffer.from(value)];
	}
}

export function encode(layouts, name, values = {}) {
	const { type, endian, fields } = layouts[name];
	return Buffer.concat([Buffer.of(type), ...fields.flatMap((field) => {
		const value = field.constant ?? values[field.name];
		if (value === undefined) {
			throw new TypeError(`${name} has no ${field.name}`);
		}
		return encodeField(field, endian, value);
	})]);
}

// Undefined if a constant is another one.
function decodeFields(name, { endian, fields }, bytes) {
	const message = { name };
	let at = 1;
	const take = (size) => {
		if (at + size > bytes.length) {
			throw new Error(`it ends at ${bytes.length} and wants ${at + size} bytes`);
		}
		at += size;
		return bytes.subarray(at - size, at);
	};
	const rest = {
		s8: () => utf8.decode(take(take(1)[0])),
		s16: () => utf8.decode(take(take(2)[`readUInt16${endian}`]())),
		json: () => JSON.parse(utf8.decode(take(bytes.length - at))),
		bytes: () => take(bytes.length - at),
		samples: () => Array.from({ length: (bytes.length - at) / 2 }, () => take(2).readInt16LE()),
	};
	for (const { kind, name: key, size, method, constant } of fields) {
		let value = size ? take(size)[`read${method}`]() : rest[kind]();
		if (kind === 'u64' && value <= Number.MAX_SAFE_INTEGER) {
			value = Number(value);
		}
		if (constant !== undefined && value !== constant) {
			return undefined;
		}
		if (key) {
			message[key] = value;
		}
	}
	if (at !== bytes.length) {
		throw new Error(`${bytes.length - at} of its ${bytes.length} bytes have no meaning`);
	}
	return message;
}

// {name, …}; throws unless the bytes are just one of the layouts of their type.
export function decode(layouts, bytes) {
	let why = `type 0x${bytes[0]?.toString(16)} is unknown`;
	for (const [name, it] of Object.entries(layouts)) {
		if (it.type !== bytes[0]) {
			continue;
		}
		try {
			const message = decodeFields(name, it, bytes);
			if (message && it.check(message)) {
				return message;
			}
			why = `${name}: its values contradict each other: ${bytes.toString('hex', 0, 64)}`;
		} catch (error) {
			why = `${name}: ${error.message}`;
		}
	}
	throw new Error(why);
}
