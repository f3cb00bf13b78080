// Preloaded into a gateway (clock.py): its clock of the date is the machine's and the nanoseconds that a file holds.
// The clock that only grows is left alone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int (*machine_clock)(clockid_t, struct timespec*);
static const volatile int64_t* ahead;

__attribute__((constructor)) static void begin(void) {
  machine_clock = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  void* place = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, open(getenv("TEST_CLOCK"), O_RDONLY | O_CLOEXEC), 0);
  if (place == MAP_FAILED) abort();
  ahead = place;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (machine_clock == NULL) begin();
  const int outcome = machine_clock(clock, time);
  if (outcome != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return outcome;
  const int64_t second = 1000000000;
  const int64_t now = time->tv_sec * second + time->tv_nsec + *ahead;
  time->tv_sec = now / second;
  time->tv_nsec = now % second;
  return 0;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* place) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (place != NULL) *place = now.tv_sec;
  return now.tv_sec;
}
