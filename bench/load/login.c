#include "load/login.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#define WORD_MAX 512 /* of name and password together, with two NULs */

/* The first line of a file, without its end. */
static int read_line(const char *path, char *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, room - 1);
	(void)close(fd);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return (size_t)n == room - 1 && strlen(out) == room - 1 ? -E2BIG : 0;
}

static int find_password(const struct load_options *o, char out[WORD_MAX])
{
	const char *value;

	if (o->password_file)
		return read_line(o->password_file, out, WORD_MAX);
	value = getenv(o->password_env);
	if (!value)
		return -ENOENT;
	if (strlen(value) >= WORD_MAX)
		return -E2BIG;
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

/* RFC 4616: nobody else's identity, NUL, name, NUL, password. */
int login_plain(const struct load_options *o, char out[LOGIN_PLAIN_MAX])
{
	unsigned char words[WORD_MAX];
	char password[WORD_MAX] = { 0 };
	size_t user_len = strlen(o->user), password_len;
	int result = find_password(o, password);

	password_len = strlen(password);
	if (!result && user_len + password_len + 2 > sizeof(words))
		result = -E2BIG;
	if (!result) {
		words[0] = '\0';
		memcpy(words + 1, o->user, user_len + 1);
		memcpy(words + user_len + 2, password, password_len);
		(void)EVP_EncodeBlock((unsigned char *)out, words,
				      (int)(user_len + password_len + 2));
	}
	OPENSSL_cleanse(password, sizeof(password));
	OPENSSL_cleanse(words, sizeof(words));
	return result;
}
