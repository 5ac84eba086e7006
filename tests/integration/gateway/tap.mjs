// SPDX-License-Identifier: GPL-2.0-or-later
// The test runner, as tests/test.h: tests one after the other, TAP on stdout, a time limit for each.
// `node FILE [NAME…]` runs only the tests named.
import assert from 'node:assert/strict';

const tests = [];
const cleanups = [];

export { assert };

export function test(name, run, seconds = 60) {
	tests.push({ name, run, seconds });
}

// Runs at the end of the test under way, the last one first.
export function defer(cleanup) {
	cleanups.push(cleanup);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until `condition` is true; what stands for an event that cannot be had.
export async function until(what, condition, ms = 10000) {
	const end = Date.now() + ms;
	while (!(await condition())) {
		assert.ok(Date.now() < end, `not within ${ms} ms: ${what}`);
		await sleep(10);
	}
}

async function runOne({ run, seconds }) {
	let timer;
	try {
		const limit = new Promise((_, reject) => {
			timer = setTimeout(() => reject(new Error(`not within ${seconds} s`)), seconds * 1000);
		});
		await Promise.race([run(), limit]);
	} finally {
		clearTimeout(timer);
		while (cleanups.length > 0) {
			await cleanups.pop()();
		}
	}
}

export async function main() {
	const wanted = process.argv.slice(2);
	const chosen = tests.filter((t) => wanted.length === 0 || wanted.includes(t.name));
	let failed = 0;
	console.log(`1..${chosen.length}`);
	for (const [i, t] of chosen.entries()) {
		try {
			await runOne(t);
			console.log(`ok ${i + 1} - ${t.name}`);
		} catch (error) {
			failed++;
			console.log(`not ok ${i + 1} - ${t.name}`);
			for (const line of String(error.stack ?? error).split('\n').slice(0, 30)) {
				console.log(`# ${line}`);
			}
		}
	}
	process.exit(failed > 0 ? 1 : 0);
}
