/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Start, main loop and end of kagefs-fsrvpd.  The main thread accepts connections and guards the pipe's name. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/np/pipe.h"
#include "agent/options.h"
#include "agent/server.h"
#include "fs/base/msg.h"

#define START_MS 60000	    /* for what Samba's programs say at the start */
#define PIPE_CHECK_MS 10000 /* in case the directory itself was replaced */

struct daemon {
	struct options options;
	struct samba samba;
	char *ncalrpc_dir;  /* owned */
	char *machine_name; /* owned */
	struct backend *backend;
	struct exposer exposer;
	struct agent agent;
	struct server server;
	struct pipe_socket pipe;
	pthread_t keeper, reconciler;
	int signal_fd;
	int ready_fd; /* the waiting parent's pipe, or -1 */
};

/* Tell systemd; see sd_notify(3).  Nobody listening is fine. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	CLEANUP_FD int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, len);
	if (sun.sun_path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sun,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		msg(LOG_WARNING, "cannot notify the service manager: error=%m");
}

/* The parent returns from here only as exit status, once the child is ready or dead. */
static int go_to_background(struct daemon *d)
{
	int p[2];
	char ok;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(p[1]);
		_exit(read(p[0], &ok, 1) == 1 ? 0 : 1);
	}
	close(p[0]);
	d->ready_fd = p[1];
	return setsid() < 0 ? -errno : 0;
}

/* From here on in the background: nothing of the terminal is kept. */
static void let_go(struct daemon *d)
{
	CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	msg_open("kagefs-fsrvpd", MSG_SYSLOG, d->options.debug ? LOG_DEBUG : LOG_INFO);
	if (chdir("/") < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		msg(LOG_WARNING, "cannot let go of the terminal: error=%m");
	if (write(d->ready_fd, "1", 1) != 1)
		msg(LOG_WARNING, "cannot tell the parent process: error=%m");
	cleanup_fd(&d->ready_fd);
	d->ready_fd = -1;
}

static void report_ready(struct daemon *d)
{
	notify("READY=1\nSTATUS=serving FssagentRpc");
	if (d->ready_fd >= 0)
		let_go(d);
}

static int catch_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) /* inherited by all threads */
		return -EINVAL;
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? -errno : 0;
}

static int choose_exposer(struct daemon *d)
{
	struct patience p = patience_ms(START_MS);
	CLEANUP_FREE char *value = NULL;
	int err = samba_global(&d->samba, &p, "registry shares", &value);

	if (!err && strcasecmp(value, "yes") == 0)
		d->options.expose = EXPOSER_REGISTRY;
	return err;
}

/* What only Samba's configuration can tell. */
static int ask_samba(struct daemon *d)
{
	const struct options *o = &d->options;
	struct patience p = patience_ms(START_MS);
	int err = 0;

	d->samba.smb_conf = o->smb_conf;
	if (o->ncalrpc_dir) {
		d->ncalrpc_dir = strdup(o->ncalrpc_dir);
		err = d->ncalrpc_dir ? 0 : -ENOMEM;
	} else {
		err = samba_global(&d->samba, &p, "ncalrpc dir", &d->ncalrpc_dir);
	}
	if (!err)
		err = samba_global(&d->samba, &p, "netbios name", &d->machine_name);
	if (!err && (d->ncalrpc_dir[0] != '/' || !*d->machine_name)) {
		msg(LOG_ERR, "Samba's configuration gives no pipe directory or no name: file=%s", o->smb_conf);
		err = -EINVAL;
	}
	d->options.agent.machine_name = d->machine_name;
	if (!err && o->expose_auto)
		err = choose_exposer(d);
	return err;
}

/* The default place of the shares file, where there is going to be one. */
static void make_state_dir(const char *file)
{
	static const char dir[] = "/var/lib/kagefs";

	if (strncmp(file, dir, strlen(dir)) == 0)
		(void)mkdir(dir, 0755); /* exposer_open says so when it is not there */
}

/* Returns how far it came; end_parts undoes that. */
enum parts { PART_NONE, PART_BACKEND, PART_EXPOSER, PART_AGENT, PART_SERVER, PART_PIPE, PART_KEEPER, PART_RECONCILER };

static int begin_parts(struct daemon *d, enum parts *done)
{
	const struct options *o = &d->options;
	struct mech_config mech = { .ntlm_auth = o->ntlm_auth, .smb_conf = o->smb_conf };
	int err = ask_samba(d);

	if (!err)
		err = backend_open(&d->backend);
	if (err)
		return err;
	*done = PART_BACKEND;
	if (o->expose == EXPOSER_INCLUDE)
		make_state_dir(o->shares_file);
	err = exposer_open(&d->exposer, &d->samba, o->expose, o->shares_file);
	if (err)
		return err;
	*done = PART_EXPOSER;
	err = agent_init(&d->agent, &o->agent, &d->samba, &d->exposer, d->backend);
	if (err)
		return err;
	*done = PART_AGENT;
	server_init(&d->server, &d->agent, &mech);
	*done = PART_SERVER;
	/* The lock that the pipe takes also makes us the only one to reconcile. */
	err = pipe_socket_open(&d->pipe, d->ncalrpc_dir, FSRVP_PIPE_NAME);
	if (err)
		return err;
	*done = PART_PIPE;
	agent_reconcile(&d->agent); /* clients that connect meanwhile wait in the backlog */
	err = -pthread_create(&d->keeper, NULL, agent_keeper, &d->agent);
	if (err)
		return err;
	*done = PART_KEEPER;
	err = -pthread_create(&d->reconciler, NULL, agent_reconciler, &d->agent);
	if (!err)
		*done = PART_RECONCILER;
	return err;
}

static void end_parts(struct daemon *d, enum parts done)
{
	if (done >= PART_AGENT)
		agent_stop(&d->agent);
	if (done >= PART_PIPE)
		pipe_socket_close(&d->pipe);
	if (done >= PART_SERVER)
		server_release(&d->server);
	if (done >= PART_KEEPER)
		(void)pthread_join(d->keeper, NULL); /* cannot fail: it is ours and joined once */
	if (done >= PART_RECONCILER)
		(void)pthread_join(d->reconciler, NULL);
	if (done >= PART_AGENT)
		agent_release(&d->agent);
	if (done >= PART_EXPOSER)
		exposer_close(&d->exposer);
	if (done >= PART_BACKEND)
		backend_close(d->backend);
	free(d->ncalrpc_dir);
	free(d->machine_name);
}

/* True: end. */
static bool take_signal(struct daemon *d)
{
	struct signalfd_siginfo si;

	if (read(d->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return false;
	if (si.ssi_signo == SIGHUP) {
		agent_reconcile_soon(&d->agent);
		return false;
	}
	msg(LOG_INFO, "ending: signal=%u", si.ssi_signo);
	return true;
}

static void serve(struct daemon *d)
{
	for (;;) {
		struct pollfd pfd[] = {
			{ .fd = d->signal_fd, .events = POLLIN },
			{ .fd = d->pipe.listen_fd, .events = POLLIN },
			{ .fd = d->pipe.watch_fd, .events = POLLIN },
		};
		int n = poll(pfd, ARRAY_SIZE(pfd), PIPE_CHECK_MS);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && pfd[0].revents && take_signal(d))
			return;
		if (n > 0 && pfd[1].revents)
			server_accept(&d->server, d->pipe.listen_fd);
		if (n == 0 || pfd[2].revents)
			(void)pipe_socket_check(&d->pipe); /* logged there, tried again soon */
	}
}

int main(int argc, char **argv)
{
	static struct daemon d = { .signal_fd = -1, .ready_fd = -1 };
	enum parts done = PART_NONE;
	int err = options_parse(&d.options, argc, argv);

	if (err)
		return err > 0 ? 0 : 2;
	umask(022);
	if (!d.options.foreground)
		err = go_to_background(&d);
	msg_open("kagefs-fsrvpd", MSG_STDERR, d.options.debug ? LOG_DEBUG : LOG_INFO); /* let_go changes it */
	if (!err)
		err = catch_signals(&d);
	if (!err)
		err = begin_parts(&d, &done);
	if (err) {
		msg(LOG_ERR, "cannot start: error=%s", strerror(-err));
	} else {
		msg(LOG_INFO, "serving: pipe=%s version=%s expose=%s profile=%s require_rpc_auth=%s", d.pipe.path,
		    KAGEFS_VERSION, d.options.expose == EXPOSER_REGISTRY ? "registry" : "include",
		    d.options.agent.profile == MACHINE_SPEC ? "spec" : "samba", d.options.agent.require_rpc_auth ? "yes" : "no");
		report_ready(&d);
		serve(&d);
		notify("STOPPING=1");
	}
	end_parts(&d, done);
	cleanup_fd(&d.signal_fd);
	options_release(&d.options);
	return err ? 1 : 0;
}
