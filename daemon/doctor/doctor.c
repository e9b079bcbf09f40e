#include "doctor/doctor.h"

#include "doctor/bpf.h"
#include "doctor/kernel.h"
#include "doctor/ktls.h"
#include "doctor/limits.h"
#include "doctor/nic.h"
#include "doctor/openssl.h"
#include "doctor/uring.h"

void doctor_examine(const struct doctor_options *options, struct findings *f)
{
	const char *root = options->root;
	struct kernel_facts kernel;
	struct ktls_facts ktls;
	struct uring_facts uring;
	struct bpf_facts bpf;
	struct openssl_facts openssl;
	struct nic_facts nics;
	struct limits_facts limits;

	kernel_look(root, &kernel);
	kernel_judge(&kernel, f);
	ktls_look(root, kernel.name, options->may_load, &ktls);
	ktls_judge(&ktls, kernel.is_known ? &kernel.release : NULL, f);
	uring_look(root, &uring);
	uring_judge(&uring, f);
	bpf_look(root, &bpf);
	bpf_judge(&bpf, f);
	openssl_look(&openssl);
	openssl_judge(&openssl, f);
	nic_look(root, kernel.name, &nics);
	nic_judge(&nics, f);
	limits_look(root, &limits);
	limits_judge(&limits, f);
}
