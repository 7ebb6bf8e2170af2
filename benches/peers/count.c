// A Vulkan layer that counts compute dispatches: at exit it adds a line with the number to the file named by COUNT_OUT.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static atomic_long dispatches;
static VkInstance instance;
static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static PFN_vkCmdDispatch dispatch;
static PFN_vkCmdDispatchIndirect dispatch_indirect;
static PFN_vkCmdDispatchBase dispatch_base;

static void report(void) {
  FILE *f = getenv("COUNT_OUT") ? fopen(getenv("COUNT_OUT"), "a") : NULL;
  if (f) fprintf(f, "%ld\n", dispatches), fclose(f);
}
static VKAPI_ATTR void VKAPI_CALL CmdDispatch(VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z) {
  dispatches++;
  dispatch(c, x, y, z);
}
static VKAPI_ATTR void VKAPI_CALL CmdDispatchIndirect(VkCommandBuffer c, VkBuffer b, VkDeviceSize o) {
  dispatches++;
  dispatch_indirect(c, b, o);
}
static VKAPI_ATTR void VKAPI_CALL CmdDispatchBase(VkCommandBuffer c, uint32_t i, uint32_t j, uint32_t k, uint32_t x,
                                                  uint32_t y, uint32_t z) {
  dispatches++;
  dispatch_base(c, i, j, k, x, y, z);
}

// Both creations hand the next layer's link on and call it.
#define LINK(type, what)                                                                                      \
  type *link = (type *)info->pNext;                                                                           \
  while (link && !(link->sType == what && link->function == VK_LAYER_LINK_INFO)) link = (type *)link->pNext;  \
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;                                                           \
  PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;

static VKAPI_ATTR VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a,
                                                     VkInstance *out) {
  LINK(VkLayerInstanceCreateInfo, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO)
  static atomic_flag once = ATOMIC_FLAG_INIT;
  next_instance = next;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkResult r = ((PFN_vkCreateInstance)next(NULL, "vkCreateInstance"))(info, a, out);
  if (r != VK_SUCCESS) return r;
  instance = *out;
  if (!atomic_flag_test_and_set(&once)) atexit(report);
  return r;
}
static VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice p, const VkDeviceCreateInfo *info,
                                                   const VkAllocationCallbacks *a, VkDevice *out) {
  LINK(VkLayerDeviceCreateInfo, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO)
  next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkResult r = ((PFN_vkCreateDevice)next(instance, "vkCreateDevice"))(p, info, a, out);
  if (r != VK_SUCCESS) return r;
  dispatch = (PFN_vkCmdDispatch)next_device(*out, "vkCmdDispatch");
  dispatch_indirect = (PFN_vkCmdDispatchIndirect)next_device(*out, "vkCmdDispatchIndirect");
  dispatch_base = (PFN_vkCmdDispatchBase)next_device(*out, "vkCmdDispatchBase");
  return r;
}

#define HOOK(f) if (!strcmp(name, "vk" #f)) return (PFN_vkVoidFunction)f
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL count_GetDeviceProcAddr(VkDevice device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)count_GetDeviceProcAddr;
  HOOK(CmdDispatch);
  HOOK(CmdDispatchIndirect);
  HOOK(CmdDispatchBase);
  return next_device(device, name);
}
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL count_GetInstanceProcAddr(VkInstance i, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)count_GetInstanceProcAddr;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)count_GetDeviceProcAddr;
  HOOK(CreateInstance);
  HOOK(CreateDevice);
  HOOK(CmdDispatch);
  HOOK(CmdDispatchIndirect);
  HOOK(CmdDispatchBase);
  return next_instance ? next_instance(i, name) : NULL;
}
