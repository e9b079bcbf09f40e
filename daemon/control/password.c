#include "control/password.h"

#include "base/must.h"

#include <crypt.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

_Static_assert(PASSWORD_HASH_MAX >= CRYPT_OUTPUT_SIZE, "room for any hash");
_Static_assert(SECRET_MAX <= CRYPT_MAX_PASSPHRASE_SIZE, "crypt takes them all");

struct scheme {
	const char *name;
	const char *prefix;
	unsigned long cost; /* the library's own choices are dated */
	unsigned long cost_min, cost_max;
	size_t bytes_max;
};

static const struct scheme schemes[] = {
	[PASSWORD_YESCRYPT] = { "yescrypt", "$y$", 5, 1, 11, SECRET_MAX - 1 },
	[PASSWORD_SHA512CRYPT] = { "sha512crypt", "$6$", 100000, 1000,
				   999999999, SECRET_MAX - 1 },
	[PASSWORD_BCRYPT] = { "bcrypt", "$2b$", 10, 4, 31, 72 },
};

const char *password_scheme_name(enum password_scheme scheme)
{
	MUST(scheme < PASSWORD_SCHEMES);
	return schemes[scheme].name;
}

/* Reading */

/*
 * Waits with the signals of `mask` let through, and only then: one that came
 * just before would be lost to a read() that then waits for ever.
 */
static int read_byte(const sigset_t *mask, uint8_t *ret)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (ppoll(&input, 1, NULL, mask) < 0)
		return -errno;
	n = read(STDIN_FILENO, ret, 1);
	return n < 0 ? -errno : (int)n;
}

/*
 * One line of standard input, byte by byte: no stream keeps a copy, and what
 * follows the line stays unread.
 */
static int read_line(const sigset_t *mask, struct secret *ret)
{
	ret->len = 0;
	for (;;) {
		uint8_t c = '\0';
		int n = read_byte(mask, &c);

		if (n < 0)
			return n;
		if (n == 0 || c == '\n')
			return ret->len ? 0 : -ENODATA;
		if (!c)
			return -EILSEQ;
		if (ret->len == SECRET_MAX - 1)
			return -E2BIG;
		ret->bytes[ret->len++] = c;
	}
}

static void prompt(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	(void)n; /* a terminal that shows nothing still takes a password */
}

static int ask_line(const char *text, const sigset_t *mask, struct secret *ret)
{
	int result;

	prompt(text);
	result = read_line(mask, ret);
	prompt("\n");
	return result;
}

static int ask_twice(const sigset_t *mask, struct secret *ret)
{
	struct secret again;
	int result = ask_line("Password: ", mask, ret);

	if (result)
		return result;
	result = ask_line("Again: ", mask, &again);
	if (!result && !secret_equal(secret_span(ret), secret_span(&again)))
		result = -EBADMSG;
	secret_wipe(&again);
	return result;
}

static int ask_silently(const struct termios *before, const sigset_t *mask,
			struct secret *ret)
{
	struct termios silent = *before;
	int result;

	silent.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent))
		return -errno;
	result = ask_twice(mask, ret);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, before);
	return result;
}

/* Its only effect is that ppoll() ends with EINTR, so the echo comes back. */
static void interrupted(int number)
{
	(void)number;
}

static int ask_terminal(const struct termios *before, struct secret *ret)
{
	const struct sigaction interrupt = { .sa_handler = interrupted };
	struct sigaction old_int;
	struct sigaction old_term;
	sigset_t ends;
	sigset_t mask;
	int result;

	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGINT);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &ends, &mask);
	(void)sigaction(SIGINT, &interrupt, &old_int);
	(void)sigaction(SIGTERM, &interrupt, &old_term);
	result = ask_silently(before, &mask, ret);
	(void)sigaction(SIGINT, &old_int, NULL);
	(void)sigaction(SIGTERM, &old_term, NULL);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	return result;
}

int password_read(struct secret *ret)
{
	struct termios terminal;
	int result;

	if (tcgetattr(STDIN_FILENO, &terminal))
		result = read_line(NULL, ret);
	else
		result = ask_terminal(&terminal, ret);
	if (result)
		secret_wipe(ret);
	return result;
}

/* Hashing */

static int hash_with(const char *phrase, const char *setting,
		     char ret[PASSWORD_HASH_MAX])
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash;
	int result = 0;

	if (!data)
		return -ENOMEM;
	hash = crypt_r(phrase, setting, data);
	if (hash && *hash != '*') /* how it tells failure */
		memcpy(ret, hash, strlen(hash) + 1);
	else
		result = -EINVAL;
	explicit_bzero(data, sizeof(*data));
	free(data);
	return result;
}

int password_hash(const struct secret *password, enum password_scheme scheme,
		  unsigned long cost, char ret[PASSWORD_HASH_MAX])
{
	const struct scheme *s = &schemes[scheme];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char phrase[SECRET_MAX];
	int result;

	MUST(scheme < PASSWORD_SCHEMES && password->len < SECRET_MAX);
	if (password->len > s->bytes_max)
		return -E2BIG;
	if (!cost)
		cost = s->cost;
	if (cost < s->cost_min || cost > s->cost_max)
		return -EINVAL;
	if (!crypt_gensalt_rn(s->prefix, cost, NULL, 0, setting,
			      sizeof(setting)))
		return -errno;
	memcpy(phrase, password->bytes, password->len);
	phrase[password->len] = '\0';
	result = hash_with(phrase, setting, ret);
	explicit_bzero(phrase, sizeof(phrase));
	return result;
}
