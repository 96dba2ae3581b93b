/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface to iommufd with a kernel's headers that are newer than those here: structs grow at
 * their ends [Linux 6.15 and 6.18: include/uapi/linux/vfio.h]. That it builds is most of the test.
 */
#define vfio_device_bind_iommufd      system_bind_iommufd
#define vfio_device_attach_iommufd_pt system_attach_iommufd_pt
#include <linux/vfio.h>
#undef vfio_device_bind_iommufd
#undef vfio_device_attach_iommufd_pt

#ifndef VFIO_DEVICE_BIND_IOMMUFD
#define VFIO_DEVICE_BIND_IOMMUFD      _IO(VFIO_TYPE, VFIO_BASE + 18)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#endif

struct vfio_device_bind_iommufd {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
	__aligned_u64 token_uuid_ptr;
};

struct vfio_device_attach_iommufd_pt {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
	__u32 pasid;
};

#include "cmocka_all.h"
#include "vfio/iommufd_uapi.h"

static void headers_with_longer_structs_are_used_as_they_are(void **state)
{
	assert_int_equal(sizeof(struct vfio_device_bind_iommufd), 24);
	assert_int_equal(sizeof(struct vfio_device_attach_iommufd_pt), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_with_longer_structs_are_used_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
