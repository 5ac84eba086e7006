// SPDX-License-Identifier: GPL-2.0-or-later
// The statistics over the picture, as small graphs of the last minute.

const ROW = 34;
const WIDTH = 300;
const LABEL = 92;
const VALUE = 104;
const PADDING = 12;
const POINTS = 120;

const number = (value, unit, digits = 1) =>
	value === undefined ? '–' : `${value.toFixed(digits)} ${unit}`;

const bitrate = (bits) =>
	bits >= 1e6 ? number(bits / 1e6, 'Mbit/s') : number((bits ?? 0) / 1e3, 'kbit/s', 0);

/** Label, text and graph of each row. */
function rows(statistics, now) {
	const { windows: w, series: s } = statistics;
	const pair = (name) => {
		const p50 = w[name].percentile(0.5, now);
		return p50 === undefined
			? '–'
			: `${p50.toFixed(1)} / ${w[name].percentile(0.95, now).toFixed(1)} ms`;
	};
	return [
		['Frames', number(w.painted.rate(now), 'fps', 0), s.fps],
		['Bitrate', bitrate(8 * w.bytes.rate(now)), s.bitrate],
		['Flip → paint', pair('paintLatency'), s.latency],
		['Round trip', pair('rtt'), s.rtt],
		['Decode', pair('decode'), s.decode],
		['Queue', String(s.queue.points.at(-1) ?? 0), s.queue],
	];
}

const stage = (statistics, name, now) =>
	statistics.windows[name].percentile(0.5, now)?.toFixed(1) ?? '–';

/** Lines of text below the graphs. */
function lines(statistics, now) {
	const { size, codec } = statistics;
	const of = (name) => stage(statistics, name, now);
	return [
		`${size.width} × ${size.height}  ${codec}`,
		`encode ${of('encode')}  bridge ${of('bridge')}  network ${of('network')} ms`,
		`decode ${of('decode')}  present ${of('present')} ms`,
		`sound ${of('soundLatency')}  after the picture ${of('lipSync')} ms  ` +
			`gaps ${statistics.soundGaps}`,
		`dropped ${statistics.dropped}  missed ${statistics.skipped}  ` +
			`errors ${statistics.decodeErrors}  reconnects ${statistics.reconnects}`,
	];
}

export class Overlay {
	#canvas;
	#statistics;

	constructor(canvas, statistics) {
		this.#canvas = canvas;
		this.#statistics = statistics;
	}

	get visible() {
		return !this.#canvas.hidden;
	}

	toggle(visible = !this.visible) {
		this.#canvas.hidden = !visible;
		this.draw();
	}

	draw() {
		if (!this.visible) {
			return;
		}
		const now = performance.now();
		const ratio = window.devicePixelRatio;
		const entries = rows(this.#statistics, now);
		const notes = lines(this.#statistics, now);
		const height = 2 * PADDING + ROW * entries.length + 17 * notes.length;
		const width = WIDTH + 2 * PADDING;
		this.#canvas.width = Math.round(width * ratio);
		this.#canvas.height = Math.round(height * ratio);
		this.#canvas.style.width = `${width}px`;
		this.#canvas.style.height = `${height}px`;
		const c = this.#canvas.getContext('2d');
		c.scale(ratio, ratio);
		c.textBaseline = 'middle';
		entries.forEach(([label, value, series], i) => {
			const y = PADDING + ROW * i;
			c.font = '12px system-ui, sans-serif';
			c.fillStyle = '#aeb8c4';
			c.fillText(label, PADDING, y + ROW / 2);
			c.fillStyle = '#f2f5f8';
			c.fillText(value, PADDING + LABEL, y + ROW / 2, VALUE);
			this.#graph(c, series.points, PADDING + LABEL + VALUE + 6, y + 6);
		});
		c.font = '11px system-ui, sans-serif';
		c.fillStyle = '#aeb8c4';
		notes.forEach((text, i) =>
			c.fillText(text, PADDING, PADDING + ROW * entries.length + 17 * i + 10, WIDTH));
		this.#canvas.setAttribute('aria-label', `Statistics: ${entries
			.map(([label, value]) => `${label} ${value}`).join(', ')}`);
	}

	#graph(c, points, left, top) {
		const width = WIDTH - LABEL - VALUE - 6;
		const height = ROW - 12;
		const highest = Math.max(...points.map((p) => p ?? 0), 1e-9);
		const at = (value) => top + height - (value / highest) * height;
		c.fillStyle = 'rgb(255 255 255 / 6%)';
		c.fillRect(left, top, width, height);
		c.strokeStyle = '#6cb6ff';
		c.lineWidth = 1.25;
		c.beginPath();
		points.forEach((value, i) => {
			const x = left + width - ((points.length - 1 - i) * width) / (POINTS - 1);
			const started = i > 0 && points[i - 1] !== undefined;
			if (value !== undefined) {
				c[started ? 'lineTo' : 'moveTo'](x, at(value));
			}
		});
		c.stroke();
	}
}
