#include "doctor/limits.h"

#include "base/must.h"
#include "doctor/reading.h"

#include <limits.h>
#include <stdio.h>

#define AREA "limits"

/* Descriptors: below the first mail is refused early, below the second at
 * volume. */
#define FILES_FEW    1024
#define FILES_ENOUGH 65536

#define MEMLOCK_ENOUGH ((rlim_t)64 << 20)

enum measure {
	MEASURE_VALUE, /* the number itself */
	MEASURE_WIDTH, /* from the first number to the second */
	MEASURE_THIRD, /* the last of three: the most */
};

struct sysctl {
	const char *name;
	const char *path;
	enum measure measure;
	uint64_t enough;
	const char *better;
	const char *means; /* when it is low */
};

static const struct sysctl sysctls[LIMITS_SYSCTLS] = {
	{ "net.core.somaxconn", "/proc/sys/net/core/somaxconn", MEASURE_VALUE,
	  4096, "4096", "connections that come at once are dropped" },
	{ "net.ipv4.tcp_max_syn_backlog",
	  "/proc/sys/net/ipv4/tcp_max_syn_backlog", MEASURE_VALUE, 1024, "4096",
	  "connections that come at once fall back to SYN cookies" },
	{ "net.ipv4.ip_local_port_range",
	  "/proc/sys/net/ipv4/ip_local_port_range", MEASURE_WIDTH, 28000,
	  "\"10240 65535\"", "ports for delivery to one next hop run out" },
	{ "net.ipv4.tcp_tw_reuse", "/proc/sys/net/ipv4/tcp_tw_reuse",
	  MEASURE_VALUE, 1, "1",
	  "ports of finished deliveries stay taken for a minute" },
	{ "net.ipv4.tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem", MEASURE_THIRD,
	  4194304, "\"4096 131072 6291456\"",
	  "large messages from far away come in slowly" },
	{ "net.ipv4.tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem", MEASURE_THIRD,
	  4194304, "\"4096 16384 4194304\"",
	  "large messages to far away go out slowly" },
	{ "fs.file-max", "/proc/sys/fs/file-max", MEASURE_VALUE, 262144,
	  "1048576", "all processes together run out of descriptors" },
};

bool limits_number(const char *text, size_t i, uint64_t *ret)
{
	struct span rest = span_str(text);
	struct span word = { 0 };

	for (size_t n = 0; n <= i; n++)
		if (!reading_next_word(&rest, &word))
			return false;
	return span_to_u64(word, ret);
}

void limits_look(const char *root, struct limits_facts *ret)
{
	*ret = (struct limits_facts){ 0 };
	for (size_t i = 0; i < LIMITS_SYSCTLS; i++)
		(void)reading_line(root, sysctls[i].path, ret->sysctls[i],
				   sizeof(ret->sysctls[i]));
	MUST(!getrlimit(RLIMIT_NOFILE, &ret->files));
	MUST(!getrlimit(RLIMIT_MEMLOCK, &ret->memlock));
}

static bool measure(const struct sysctl *s, const char *text, uint64_t *ret)
{
	uint64_t first;

	switch (s->measure) {
	case MEASURE_VALUE: return limits_number(text, 0, ret);
	case MEASURE_THIRD: return limits_number(text, 2, ret);
	case MEASURE_WIDTH: break;
	}
	if (!limits_number(text, 0, &first) || !limits_number(text, 1, ret))
		return false;
	*ret = *ret > first ? *ret - first : 0;
	return true;
}

/* Numbers with a blank between them, where the kernel puts a tab. */
static const char *show_numbers(const char *text, struct findings *f)
{
	struct span rest = span_str(text);
	struct span word;
	const char *shown = "";

	while (reading_next_word(&rest, &word))
		shown = findings_text(f, "%s%s%.*s", shown, *shown ? " " : "",
				      (int)word.len, (const char *)word.p);
	return shown;
}

static void judge_sysctl(const struct sysctl *s, const char *text,
			 struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = s->name,
		.found = show_numbers(text, f),
	};
	uint64_t value;

	if (!measure(s, text, &value)) {
		finding.means = "not understood";
		finding.grade = FINDING_NOTE;
	} else if (value < s->enough) {
		finding.means =
			findings_text(f, "low; at high volume %s", s->means);
		finding.advice = findings_text(f,
					       "sysctl -w %s=%s, and the "
					       "same in /etc/sysctl.d",
					       s->name, s->better);
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

static const char *show_limit(rlim_t limit, struct findings *f)
{
	if (limit == RLIM_INFINITY)
		return "unlimited";
	return findings_text(f, "%llu", (unsigned long long)limit);
}

static void judge_files(const struct rlimit *files, struct findings *f)
{
	rlim_t most = files->rlim_max;
	struct finding finding = {
		.area = AREA,
		.subject = "RLIMIT_NOFILE",
		.found = findings_text(f, "soft %s, hard %s",
				       show_limit(files->rlim_cur, f),
				       show_limit(most, f)),
	};

	if (most < FILES_ENOUGH) {
		finding.means = "each connection takes a descriptor; the "
				"daemon raises the limit only when it is "
				"started with CAP_SYS_RESOURCE";
		finding.advice = "systemd: LimitNOFILE=1048576; shell: "
				 "ulimit -Hn";
		finding.grade = most < FILES_FEW ? FINDING_LOSS : FINDING_NOTE;
	}
	findings_add(f, &finding);
}

static void judge_memlock(const struct rlimit *memlock, struct findings *f)
{
	rlim_t most = memlock->rlim_max;
	struct finding finding = {
		.area = AREA,
		.subject = "RLIMIT_MEMLOCK",
		.found = findings_text(f, "hard %s bytes", show_limit(most, f)),
	};

	if (most < MEMLOCK_ENOUGH) {
		finding.means = "buffers shared with io_uring count against "
				"it; the daemon raises it only when it is "
				"started with CAP_SYS_RESOURCE";
		finding.advice = "systemd: LimitMEMLOCK=infinity";
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

void limits_judge(const struct limits_facts *l, struct findings *f)
{
	judge_files(&l->files, f);
	judge_memlock(&l->memlock, f);
	for (size_t i = 0; i < LIMITS_SYSCTLS; i++)
		if (*l->sysctls[i])
			judge_sysctl(&sysctls[i], l->sysctls[i], f);
}
