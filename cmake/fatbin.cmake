# edgepose.fatbin: every kernel, for every GPU of EDGEPOSE_CUDA_ARCHITECTURES that this nvcc knows, and PTX of the newest.
# nvcc is run as a command and not as CMake's language CUDA: there is no host code to compile or to link, so that a cross
# build needs no more than the building machine's nvcc. edgepose.fatbin.json beside it says what it was compiled for.

set(EDGEPOSE_CUDA AUTO CACHE STRING "CUDA kernels: AUTO where nvcc is found and works, ON (it must), OFF")
set(EDGEPOSE_CUDA_ARCHITECTURES 75 80 86 87 89 90 100 110 120 CACHE STRING
  "compute capabilities to compile for, those that nvcc knows; PTX of the newest is added")

# Leave the kernels out, with a status message; an error where they were asked for.
macro(edgepose_no_fatbin why)
  if(EDGEPOSE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "EDGEPOSE_CUDA=ON, and ${why}")
  endif()
  message(STATUS "No CUDA kernels: ${why}")
  return()
endmacro()

if(NOT EDGEPOSE_CUDA)
  message(STATUS "No CUDA kernels: EDGEPOSE_CUDA=${EDGEPOSE_CUDA}")
  return()
endif()
find_program(EDGEPOSE_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin PATHS /usr/local/cuda/bin
  NO_CMAKE_FIND_ROOT_PATH)
if(NOT EDGEPOSE_NVCC)
  edgepose_no_fatbin("nvcc was not found (PATH, CUDA_HOME, /usr/local/cuda)")
endif()

set(NVCC_OPTIONS -std=c++17 -fmad=false)  # as -ffp-contract=off; the rest of IEEE 754 is nvcc's default
if(EDGEPOSE_WERROR)
  list(APPEND NVCC_OPTIONS -Werror all-warnings -Xptxas -warn-spills,-warn-lmem-usage)
endif()
if(NOT CMAKE_CROSSCOMPILING AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND NVCC_OPTIONS -ccbin ${CMAKE_CXX_COMPILER})  # nvcc has it preprocess
endif()

# Configuring must find out whether nvcc works: a failed build of the wheel would take the host extension with it.
execute_process(COMMAND ${EDGEPOSE_NVCC} --list-gpu-code OUTPUT_VARIABLE KNOWN ERROR_VARIABLE ERRORS)
set(GENCODE)
set(CUBINS)
set(NEWEST 0)
foreach(capability IN LISTS EDGEPOSE_CUDA_ARCHITECTURES)
  if(KNOWN MATCHES "sm_${capability}\n")
    list(APPEND GENCODE -gencode arch=compute_${capability},code=sm_${capability})
    list(APPEND CUBINS "\"sm_${capability}\"")
    if(capability GREATER NEWEST)
      set(NEWEST ${capability})
    endif()
  else()
    message(STATUS "CUDA kernels: this nvcc has no sm_${capability}")
  endif()
endforeach()
if(NOT CUBINS)
  edgepose_no_fatbin("${EDGEPOSE_NVCC} knows none of ${EDGEPOSE_CUDA_ARCHITECTURES} ${ERRORS}")
endif()
list(APPEND GENCODE -gencode arch=compute_${NEWEST},code=compute_${NEWEST})

file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/works.cu "#include <stdint.h>\nextern \"C\" __global__ void works(float *at) { *at = 1; }\n")
execute_process(
  COMMAND ${EDGEPOSE_NVCC} -fatbin ${NVCC_OPTIONS} -arch=sm_${NEWEST} -o ${CMAKE_CURRENT_BINARY_DIR}/works.fatbin
          ${CMAKE_CURRENT_BINARY_DIR}/works.cu
  RESULT_VARIABLE FAILED OUTPUT_VARIABLE ERRORS ERROR_VARIABLE ERRORS)
if(FAILED)
  edgepose_no_fatbin("${EDGEPOSE_NVCC} cannot compile here: ${ERRORS}")
endif()

execute_process(COMMAND ${EDGEPOSE_NVCC} --version OUTPUT_VARIABLE VERSION)
string(REGEX MATCH "V([0-9.]+)" VERSION "${VERSION}")
list(JOIN CUBINS ", " LISTED)
set(FATBIN ${CMAKE_CURRENT_BINARY_DIR}/edgepose.fatbin)
file(CONFIGURE OUTPUT ${FATBIN}.json CONTENT
  "{\"toolkit\": \"${CMAKE_MATCH_1}\", \"architectures\": [${LISTED}], \"ptx\": [\"compute_${NEWEST}\"]}\n")
file(GLOB KERNEL_SOURCES CONFIGURE_DEPENDS ${CSRC}/cuda/* ${CSRC}/core/*)
add_custom_command(
  OUTPUT ${FATBIN}
  COMMAND ${EDGEPOSE_NVCC} -fatbin --threads 0 ${NVCC_OPTIONS} -Xfatbin -compress-all ${GENCODE} -o ${FATBIN} ${CSRC}/cuda/edgepose.cu
  DEPENDS ${KERNEL_SOURCES}
  COMMENT "nvcc: edgepose.fatbin"
  VERBATIM)
add_custom_target(fatbin ALL DEPENDS ${FATBIN})
install(FILES ${FATBIN} ${FATBIN}.json DESTINATION ${INSTALL_TO})
