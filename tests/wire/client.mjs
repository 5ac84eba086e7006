// SPDX-License-Identifier: GPL-2.0-or-later
// A viewer, and a connection for input only, written from docs/protocol/websocket.md alone. Everything that comes is
// decoded, and held to the rules of sections 3 and 4; whoever waits for a message gets the first breach of them instead.
import { inspect } from 'node:util';
import { checkUnit } from './h264.mjs';
import { decode, encode, fromServer, toInput, toStream } from './messages.mjs';
import { frame, op, Socket } from './websocket.mjs';

function decodeText(text) {
	const { ConnectionComplete: it, ...rest } = JSON.parse(text);
	if (Object.keys(rest).length > 0 || typeof it?.capabilities?.touch !== 'boolean' ||
		!Number.isInteger(it.width) || !Number.isInteger(it.height)) {
		throw new Error(`an unknown text: ${text}`);
	}
	return { name: 'ConnectionComplete', ...it };
}

export class Viewer extends Socket {
	// What init says, all but its type, however it is said
	expectAnswersTo(init = {}) {
		this.told = init;
		this.sequence = 0;
		this.last = {};
		this.pts = this.audioPts = -1;
		this.times = { sequence: -1, missed: 0 };
	}

	init(init = {}) {
		this.expectAnswersTo(init);
		this.send(JSON.stringify({ type: 'init', ...init }));
		return this;
	}

	say(name, values, options) {
		this.send(encode(toStream, name, values), options);
	}

	takeMessage(bytes) {
		const message = typeof bytes === 'string' ? decodeText(bytes) : decode(fromServer, bytes);
		this.checkOrder(message);
		this.check(message);
		this.last = message;
		super.takeMessage(message);
	}

	want(truth, message, text) {
		if (!truth) {
			throw new Error(`message ${this.count}, ${message.name}, ${text}: ${inspect(message, { breakLength: Infinity })}`);
		}
	}

	// 3.1
	checkOrder(message) {
		this.want(this.told, message, 'before init');
		const first = ['StreamInit', 'ConnectionComplete', ...(this.told.session_id ? ['SelfId', 'RemoteUserJoined'] : [])];
		const due = first[this.count];
		this.want(due ? message.name === due : !first.slice(0, 3).includes(message.name), message, 'out of order');
		this.want(this.last.name !== 'FrameTimes' || message.name === 'VideoFrame', message, 'between FrameTimes and its frame');
		this.want(this.told.session_id || !message.name.startsWith('Remote'), message, 'without a session');
	}

	check(message) {
		const asked = (extension) => this.want(this.told.extensions?.includes(extension), message, 'not asked for');
		switch (message.name) {
		case 'StreamInit':
			this.want(this.told.extensions?.includes('audio') || message.channels === 0, message, 'sound without being asked');
			this.want(message.sampleRate === (message.channels ? 48000 : 0), message, 'a rate');
			break;
		case 'SelfId':
			this.id = message.client;
			break;
		case 'RemoteUserJoined':
			this.want(this.count > 3 || message.client === this.id, message, 'first about another');
			break;
		case 'RemoteCursor': case 'RemoteTouch': case 'RemoteUserLeft':
			this.want(message.client !== this.id, message, 'about the client itself');
			break;
		case 'CursorPosition':
			asked('cursor-position');
			break;
		case 'Clipboard':
			asked('clipboard');
			break;
		case 'AudioFrame':
			asked('audio');
			this.want(message.pts > this.audioPts, message, `behind ${this.audioPts}`);
			this.audioPts = message.pts;
			break;
		case 'FrameTimes':
			asked('frame-times');
			this.want(message.encoded <= message.received && message.received <= message.sent, message, 'back in time');
			this.want(message.sequence > this.times.sequence && message.missed >= this.times.missed, message, 'counts back');
			this.times = message;
			break;
		case 'VideoFrame':
			this.checkFrame(message);
			break;
		}
	}

	// 4.1
	checkFrame(message) {
		this.want((message.flags & ~1) === 0, message, 'flags');
		message.keyframe = message.flags === 1;
		this.want(message.pts > this.pts, message, `behind ${this.pts}`);
		this.want(message.keyframe || this.sps, message, 'no keyframe before it');
		this.pts = message.pts;
		this.sps = checkUnit(message.unit, message.keyframe) ?? this.sps;
		this.want(message.width === this.sps.width && message.height === this.sps.height, message, `of ${inspect(this.sps)}`);
		const { extensions = [] } = this.told;
		if (extensions.includes('frame-times')) {
			this.want(this.last.name === 'FrameTimes' && this.last.pts === message.pts, message, 'without its times');
			message.times = this.last;
		}
	}

	// The next message of this name, and a check. What comes before it is passed over.
	async expect(name, matches = () => true, ms = undefined) {
		let found;
		await this.until(name, () => {
			while (!found && this.messages.length > 0) {
				const message = this.messages.shift();
				found = message.name === name && matches(message) ? message : undefined;
			}
			return found;
		}, ms);
		return found;
	}

	keyframe() {
		return this.expect('VideoFrame', (m) => m.keyframe);
	}

	// Its Pong. Then the server has read what was sent before, and is alive.
	async ping() {
		const sequence = ++this.sequence, time = Math.round(performance.now() * 1000);
		this.say('Ping', { sequence, time });
		const pong = await this.expect('Pong', (m) => m.sequence === sequence);
		this.want(pong.clientTime === time, pong, `not of ${time}`);
		return pong;
	}
}

// Section 6
export class Input extends Socket {
	say(name, values, options) {
		this.send(encode(toInput, name, values), options);
	}

	takeMessage(message) {
		throw new Error(`an answer: ${inspect(message)}`);
	}

	// There is no Ping here, but WebSocket's own is answered in order, too.
	async ping() {
		const text = `input ${this.pongs.length}`;
		this.write(frame(op.ping, text));
		await this.until('a pong', () => this.pongs.includes(text));
	}
}
