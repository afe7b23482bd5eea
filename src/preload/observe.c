/* The accelerator; see trace/ring.h. */
extern int observe_nothing;
int observe_nothing;
