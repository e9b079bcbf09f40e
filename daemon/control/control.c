#include "control/control.h"

#include "base/must.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* More groups than a person has; who is in more must have the right uid. */
#define GROUPS_MAX 256

/*
 * FREE ---> READING ---> ASKED ---> TAKEN ---> ANSWERING ---> FREE
 *    accept   |   line     control_next  control_answer   all sent
 *             \__________________________________/
 *               a bad line, a stranger: refused here
 * From READING and ANSWERING, the deadline leads to FREE.
 */

static void set_state(struct control_client *client, enum control_state state)
{
	client->state = state;
}

static void end_client(struct control *c, struct control_client *client)
{
	(void)close(client->fd);
	slab_give(&c->answers, client->out.p);
	client->fd = -1;
	set_state(client, CONTROL_FREE);
}

/* The socket */

/* 0: nobody listens there any more, and its name is free again. */
static int remove_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = connect(fd, (const struct sockaddr *)address,
			 sizeof(*address)) ?
			 -errno :
			 0;
	(void)close(fd);
	if (result == -ENOENT)
		return 0;
	if (result != -ECONNREFUSED)
		return result && result != -EAGAIN ? result : -EADDRINUSE;
	return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
}

/*
 * The name appears with no more than 0660 (less the umask), is given to its
 * owner, and only then gets 0660: nobody slips in between.
 */
static int bind_socket(const struct control *c, int fd)
{
	const struct sockaddr *address = (const struct sockaddr *)&c->address;
	const char *path = c->address.sun_path;

	if (fchmod(fd, 0660) || bind(fd, address, sizeof(c->address)))
		return -errno;
	if (chown(path, c->uid, c->gid) || chmod(path, 0660) ||
	    listen(fd, 16)) {
		int error = -errno;

		(void)unlink(path);
		return error;
	}
	return 0;
}

static int open_socket(struct control *c)
{
	int result = remove_stale(&c->address);

	if (result)
		return result;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	result = bind_socket(c, c->fd);
	if (result)
		(void)close(c->fd);
	return result;
}

static int prepare(struct control *c, const char *path, uid_t uid, gid_t gid)
{
	size_t len = strlen(path);

	*c = (struct control){ .fd = -1, .uid = uid, .gid = gid };
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
	if (len >= sizeof(c->address.sun_path))
		return -ENAMETOOLONG;
	c->address.sun_family = AF_UNIX;
	memcpy(c->address.sun_path, path, len);
	return slab_init(&c->answers, CONTROL_ANSWER_MAX, CONTROL_CLIENTS);
}

int control_open(struct control *c, const char *path, uid_t uid, gid_t gid)
{
	int result = prepare(c, path, uid, gid);

	if (result)
		return result;
	result = open_socket(c);
	if (result)
		slab_fini(&c->answers);
	return result;
}

int control_adopt(struct control *c, const char *path, uid_t uid, gid_t gid,
		  int fd)
{
	int result = prepare(c, path, uid, gid);

	if (!result)
		c->fd = fd;
	return result;
}

void control_remove(const struct control *c)
{
	(void)unlink(c->address.sun_path);
}

void control_close(struct control *c)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].state != CONTROL_FREE)
			end_client(c, &c->clients[i]);
	(void)close(c->fd);
	c->fd = -1;
	slab_fini(&c->answers);
}

/* Requests */

struct verb_word {
	const char *word; /* one that ends in a blank has words behind it */
	enum control_verb verb;
	enum log_level log_level;
};

static const struct verb_word verb_words[] = {
	{ .word = "status", .verb = CONTROL_STATUS },
	{ .word = "status json", .verb = CONTROL_STATUS_JSON },
	{ .word = "metrics", .verb = CONTROL_METRICS },
	{ .word = "listeners", .verb = CONTROL_LISTENERS },
	{ .word = "reload", .verb = CONTROL_RELOAD },
	{ .word = "upgrade", .verb = CONTROL_UPGRADE },
	{ .word = "upgrade ", .verb = CONTROL_UPGRADE },
	{ .word = "stop", .verb = CONTROL_STOP },
	{ "log-level error", CONTROL_LOG_LEVEL, LOG_ERROR },
	{ "log-level warning", CONTROL_LOG_LEVEL, LOG_WARNING },
	{ "log-level notice", CONTROL_LOG_LEVEL, LOG_NOTICE },
	{ "log-level info", CONTROL_LOG_LEVEL, LOG_INFO },
	{ "log-level debug", CONTROL_LOG_LEVEL, LOG_DEBUG },
	{ .word = "lane ", .verb = CONTROL_LANE },
	{ .word = "shield ", .verb = CONTROL_SHIELD },
};

static bool parse_request(struct span line, struct control_request *ret)
{
	size_t n = sizeof(verb_words) / sizeof(*verb_words);

	for (size_t i = 0; i < n; i++) {
		struct span word = span_str(verb_words[i].word);
		bool has_words = word.p[word.len - 1] == ' ';
		struct span head = line;

		if (has_words && line.len > word.len)
			head = span_head(line, word.len);
		if (!span_equal(head, word))
			continue;
		ret->verb = verb_words[i].verb;
		ret->log_level = verb_words[i].log_level;
		ret->words = span_tail(line, word.len);
		return true;
	}
	return false;
}

/* Sends what the socket takes; ends the connection when that was all. */
static void send_answer(struct control *c, struct control_client *client)
{
	while (buf_len(&client->out)) {
		struct span rest = buf_span(&client->out);
		ssize_t n = send(client->fd, rest.p, rest.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		buf_consume(&client->out, (size_t)n);
	}
	end_client(c, client);
}

static void begin_answer(struct control *c, struct control_client *client,
			 uint64_t now_ms)
{
	set_state(client, CONTROL_ANSWERING);
	client->deadline_ms = now_ms + CONTROL_PATIENCE_MS;
	send_answer(c, client);
}

static void refuse(struct control *c, struct control_client *client,
		   const char *text, uint64_t now_ms)
{
	control_refuse(&client->request, text);
	begin_answer(c, client, now_ms);
}

static void read_line(struct control *c, struct control_client *client,
		      uint64_t now_ms)
{
	struct span have;
	size_t room;
	uint8_t *p = buf_reserve(&client->in, &room);
	ssize_t n = recv(client->fd, p, room, 0);
	size_t end;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		end_client(c, client);
		return;
	}
	buf_produced(&client->in, (size_t)n);
	have = buf_span(&client->in);
	end = span_find(have, '\n');
	if (end == have.len) {
		if (!buf_room(&client->in))
			refuse(c, client, "the request is too long", now_ms);
		return;
	}
	if (parse_request(span_head(have, end), &client->request))
		set_state(client, CONTROL_ASKED);
	else
		refuse(c, client, "unknown request", now_ms);
}

/* Connections */

/* Supplementary groups are not in SO_PEERCRED. */
static bool is_in_group(const struct control *c, int fd)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == c->gid)
			return true;
	return false;
}

static bool is_welcome(const struct control *c, int fd, bool *ret_trusted)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	/* The workers' user is none that we are. */
	*ret_trusted = peer.uid == 0 || peer.uid == geteuid();
	return peer.uid == 0 || peer.uid == c->uid || peer.gid == c->gid ||
	       is_in_group(c, fd);
}

static void begin_client(struct control *c, struct control_client *client,
			 int fd, uint64_t now_ms)
{
	uint8_t *answer = slab_take(&c->answers);

	MUST(answer && client->state == CONTROL_FREE);
	client->fd = fd;
	client->deadline_ms = now_ms + CONTROL_PATIENCE_MS;
	client->request = (struct control_request){
		.client = (uint32_t)(client - c->clients),
		.answer = &client->out,
	};
	buf_init(&client->in, client->line, sizeof(client->line));
	buf_init(&client->out, answer, CONTROL_ANSWER_MAX);
	set_state(client, CONTROL_READING);
	if (!is_welcome(c, fd, &client->request.trusted))
		refuse(c, client,
		       "not permitted: be root or in the daemon's group",
		       now_ms);
}

static void accept_clients(struct control *c, uint64_t now_ms)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		int fd;

		if (c->clients[i].state != CONTROL_FREE)
			continue;
		/* cppcheck-suppress nullPointer ; nobody has a name here */
		fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return; /* none, or no descriptor: poll says again */
		begin_client(c, &c->clients[i], fd, now_ms);
	}
}

void control_poll(const struct control *c, struct pollfd fds[CONTROL_FDS])
{
	bool room = false;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		const struct control_client *client = &c->clients[i];
		struct pollfd *out = &fds[1 + i];

		*out = (struct pollfd){ .fd = client->fd };
		if (client->state == CONTROL_READING)
			out->events = POLLIN;
		else if (client->state == CONTROL_ANSWERING)
			out->events = POLLOUT;
		else
			out->fd = -1;
		room = room || client->state == CONTROL_FREE;
	}
	/* With all places taken, others wait in the backlog. */
	fds[0] = (struct pollfd){ .fd = room ? c->fd : -1, .events = POLLIN };
}

/* The supervisor takes the time that it needs. */
static bool has_deadline(const struct control_client *client)
{
	return client->state == CONTROL_READING ||
	       client->state == CONTROL_ANSWERING;
}

int control_timeout_ms(const struct control *c, uint64_t now_ms)
{
	int least = -1;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		const struct control_client *client = &c->clients[i];
		int left = 0;

		if (!has_deadline(client))
			continue;
		if (client->deadline_ms > now_ms)
			left = (int)(client->deadline_ms - now_ms);
		if (least < 0 || left < least)
			least = left;
	}
	return least;
}

void control_ready(struct control *c, const struct pollfd fds[CONTROL_FDS],
		   uint64_t now_ms)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = &c->clients[i];

		if (fds[1 + i].fd < 0 || fds[1 + i].fd != client->fd)
			continue;
		if (fds[1 + i].revents && client->state == CONTROL_READING)
			read_line(c, client, now_ms);
		else if (fds[1 + i].revents &&
			 client->state == CONTROL_ANSWERING)
			send_answer(c, client);
		if (has_deadline(client) && client->deadline_ms <= now_ms)
			end_client(c, client);
	}
	if (fds[0].fd >= 0 && fds[0].revents)
		accept_clients(c, now_ms);
}

/* Answers */

bool control_next(struct control *c, struct control_request *ret)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = &c->clients[i];

		if (client->state != CONTROL_ASKED)
			continue;
		set_state(client, CONTROL_TAKEN);
		buf_clear(&client->out);
		buf_put_str(&client->out, "ok\n");
		*ret = client->request;
		return true;
	}
	return false;
}

void control_refuse(const struct control_request *request, const char *text)
{
	struct buf *answer = request->answer;

	buf_clear(answer);
	buf_put_str(answer, "error ");
	buf_put_str(answer, text);
	buf_put_byte(answer, '\n');
}

void control_answer(struct control *c, const struct control_request *request,
		    uint64_t now_ms)
{
	struct control_client *client = &c->clients[request->client];

	MUST(client->state == CONTROL_TAKEN);
	if (client->out.overflowed)
		control_refuse(request, "the answer is too long");
	begin_answer(c, client, now_ms);
}
