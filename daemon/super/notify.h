#pragma once

/*
 * notify: tells systemd how far we are (sd_notify(3)): a datagram to the socket
 * that it named in the environment. Without one, nothing happens.
 */

/* `state` as in sd_notify(3): "READY=1", "MAINPID=123". */
void notify_send(const char *state);
