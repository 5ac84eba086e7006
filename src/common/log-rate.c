/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log-rate.h"

bool log_rate_allows(struct log_rate *rate, unsigned most, const char *module) {
	uint64_t now = now_ns();
	if (now - rate->window_ns > NSEC_PER_SEC) {
		if (rate->suppressed > 0) {
			log_write(LOG_LEVEL_INFO, module, 0, "%u more such lines were left out",
				rate->suppressed);
		}
		rate->window_ns = now;
		rate->lines = rate->suppressed = 0;
	}
	if (rate->lines == most) {
		rate->suppressed++;
		return false;
	}
	rate->lines++;
	return true;
}
