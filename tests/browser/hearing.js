// SPDX-License-Identifier: GPL-2.0-or-later
// What is heard of a desktop in its page.

import { until } from './harness.js';

/** What an analyser at the page's output says: {peak: Hz, level}. */
export const analyse = (page) => page.evaluate(async () => {
	const { output } = globalThis.helix.sound;
	if (!output) {
		return { peak: 0, level: 0 };
	}
	if (!globalThis.analyser) {
		globalThis.analyser = new AnalyserNode(output.context, { fftSize: 8192 });
		output.connect(globalThis.analyser);
		await new Promise((resolve) => setTimeout(resolve, 500));
	}
	const { analyser } = globalThis;
	const bins = new Float32Array(analyser.frequencyBinCount);
	const samples = new Float32Array(analyser.fftSize);
	analyser.getFloatFrequencyData(bins);
	analyser.getFloatTimeDomainData(samples);
	const peak = bins.reduce((best, value, i) => (value > bins[best] ? i : best), 0);
	return {
		peak: peak * output.context.sampleRate / analyser.fftSize,
		level: Math.sqrt(samples.reduce((sum, v) => sum + v * v, 0) / samples.length),
	};
});

/** Waits until that is heard. */
export const hears = (page, hertz, ms = 20000) => until(`a tone of ${hertz} Hz`, async () => {
	const { peak, level } = await analyse(page);
	return level > 0.1 && Math.abs(peak - hertz) < 12;
}, ms);
