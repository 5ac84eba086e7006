// SPDX-License-Identifier: GPL-2.0-or-later
// The messages of docs/protocol/websocket.md, written from that page alone.
import assert from 'node:assert/strict';

export const type = { video: 0x01, keyboard: 0x10, mouse: 0x11, absolute: 0x12, relative: 0x13, touch: 0x14,
	control: 0x20, streamInit: 0x30, streamError: 0x31, ping: 0x40, pong: 0x41, cursorImage: 0x50, cursorName: 0x51,
	remoteCursor: 0x53, remoteUser: 0x54, remoteTouch: 0x56, selfId: 0x58, frameTimes: 0x5a };

// A cursor over a message: each read says where it is, and end() that nothing is left.
class Reader {
	constructor(data) {
		this.data = data;
		this.at = 1;
	}

	#take(n) {
		assert.ok(this.at + n <= this.data.length, 'a message is too short');
		this.at += n;
		return this.at - n;
	}

	u8() { return this.data.readUInt8(this.#take(1)); }
	u16() { return this.data.readUInt16BE(this.#take(2)); }
	u32() { return this.data.readUInt32BE(this.#take(4)); }
	u64() { return Number(this.data.readBigUInt64BE(this.#take(8))); }
	u16le() { return this.data.readUInt16LE(this.#take(2)); }
	u32le() { return this.data.readUInt32LE(this.#take(4)); }
	i32le() { return this.data.readInt32LE(this.#take(4)); }
	bytes(n) { return this.data.subarray(this.#take(n), this.at); }
	text(n) { return this.bytes(n).toString('utf8'); }
	rest() { return this.bytes(this.data.length - this.at); }

	end(message) {
		assert.equal(this.at, this.data.length, 'a message is too long');
		return message;
	}
}

const readers = {
	[type.video]: (r) => ({ codec: r.u8(), flags: r.u8(), pts: r.u64(), width: r.u16(), height: r.u16(), unit: r.rest() }),
	[type.streamInit]: (r) => r.end({ codec: r.u8(), width: r.u16(), height: r.u16(), fps: r.u8(), channels: r.u8(),
		rate: r.u32(), touch: r.u8() }),
	[type.streamError]: (r) => r.end({ text: r.text(r.u16()) }),
	[type.pong]: (r) => r.end({ sequence: r.u32(), clientTime: r.u64(), serverTime: r.u64(), pipelineMs: r.u16(),
		lateMedian: r.u16(), late99: r.u16(), lateMax: r.u16() }),
	[type.frameTimes]: (r) => r.end({ pts: r.u64(), sequence: r.u32(), encodedUs: r.u32(), arrivedUs: r.u32(),
		sentUs: r.u32(), missed: r.u32() }),
	[type.cursorImage]: (r) => {
		const m = { mover: r.u32le(), x: r.i32le(), y: r.i32le(), hotX: r.i32le(), hotY: r.i32le(), size: r.u32le() };
		if (m.size > 0) {
			Object.assign(m, { format: r.u32le(), width: r.u32le(), height: r.u32le(), stride: r.i32le() });
			assert.equal(m.format, 0x34324241);
			assert.equal(m.stride, 4 * m.width);
			assert.equal(m.size, 16 + m.stride * m.height);
			m.pixels = r.rest();
			assert.equal(m.pixels.length, m.stride * m.height);
		}
		return r.end(m);
	},
	[type.cursorName]: (r) => r.end({ mover: r.u32le(), hotX: r.i32le(), hotY: r.i32le(), name: r.text(r.u8()) }),
	[type.selfId]: (r) => r.end({ id: r.u32le() }),
	[type.remoteUser]: (r) => {
		const m = { action: r.u8(), id: r.u32le() };
		return r.end(m.action === 0 ? m
			: { ...m, name: r.text(r.u8()), colour: r.text(r.u8()), avatar: r.text(r.u16le()) });
	},
	[type.remoteCursor]: (r) => r.end({ id: r.u32le(), x: r.i32le(), y: r.i32le(), colour: r.text(r.u8()) }),
	[type.remoteTouch]: (r) => r.end({ id: r.u32le(), touch: r.u32le(), event: r.u8(), x: r.i32le(), y: r.i32le(),
		pressure: r.u32le(), colour: r.text(r.u8()) }),
};

export function parse({ text, data }) {
	if (text) {
		return { type: 'text', json: JSON.parse(data.toString('utf8')) };
	}
	const read = readers[data[0]];
	assert.ok(read, `a message of type ${data[0]} that was not asked for`);
	return { type: data[0], ...read(new Reader(data)) };
}

// The types of the NAL units of an access unit, whose start codes must be of 4 bytes.
export function nalUnits(unit) {
	const found = [];
	assert.equal(unit.readUInt32BE(0), 1, 'a start code of 4 bytes');
	for (let at = 0; (at = unit.indexOf('\0\0\x01', at, 'latin1')) >= 0; at += 3) {
		assert.equal(unit[at - 1], 0, 'a start code of 4 bytes');
		found.push({ type: unit[at + 3] & 31, profile: unit[at + 4], constraints: unit[at + 5] });
	}
	return found;
}

const bytes = (size, fill) => {
	const b = Buffer.alloc(size);
	fill(b);
	return b;
};

export const ping = (sequence, time) => bytes(13, (b) => {
	b[0] = type.ping;
	b.writeUInt32BE(sequence, 1);
	b.writeBigUInt64BE(BigInt(time), 5);
});

export const control = (object) => Buffer.concat([Buffer.from([type.control]), Buffer.from(JSON.stringify(object))]);

// Types as on /ws/stream, and the others of /ws/input (section 6).
export const streamTypes = { keyboard: 0x10, mouse: 0x11, absolute: 0x12, relative: 0x13, touch: 0x14 };
export const inputTypes = { keyboard: 1, mouse: 2, absolute: 3, relative: 4, touch: 6 };

export const inputMessages = (t) => ({
	key: (code, down) => bytes(6, (b) => {
		b.set([t.keyboard, 0, down, 0]);
		b.writeUInt16BE(code, 4);
	}),
	keysym: (keysym, down) => bytes(8, (b) => {
		b.set([t.keyboard, 2, down, 0]);
		b.writeUInt32BE(keysym, 4);
	}),
	tap: (keysym, modifiers) => bytes(7, (b) => {
		b.set([t.keyboard, 3, modifiers]);
		b.writeUInt32BE(keysym, 3);
	}),
	button: (button, down) => Buffer.from([t.mouse, 2, down, button]),
	wheel: (dx, dy) => bytes(10, (b) => {
		b.set([t.mouse, 3]);
		b.writeFloatLE(dx, 2);
		b.writeFloatLE(dy, 6);
	}),
	coarseWheel: (dx, dy) => bytes(4, (b) => {
		b.set([t.mouse, 4]);
		b.writeInt8(dx, 2);
		b.writeInt8(dy, 3);
	}),
	absolute: (x, y, width, height) => bytes(10, (b) => {
		b.set([t.absolute, 1]);
		[x, y, width, height].forEach((value, i) => b.writeInt16BE(value, 2 + 2 * i));
	}),
	relative: (dx, dy) => bytes(6, (b) => {
		b.set([t.relative, 0]);
		b.writeInt16BE(dx, 2);
		b.writeInt16BE(dy, 4);
	}),
	touch: (event, slot, x, y) => bytes(11, (b) => {
		b.set([t.touch, event, slot]);
		b.writeFloatLE(x, 3);
		b.writeFloatLE(y, 7);
	}),
});

export const inputScroll = (unit, flags, dx, dy) => bytes(11, (b) => {
	b.set([5, unit, flags]);
	b.writeFloatLE(dx, 3);
	b.writeFloatLE(dy, 7);
});
