# Compiles up to six source files of a target as one (INGOT_UNITY=ON), which saves the time their headers take: for CI, whose
# builds nobody edits.
function(compile_together directory)
  get_property(folders DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(folder ${folders})
    compile_together(${folder})
  endforeach()
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(NOT type MATCHES "LIBRARY|EXECUTABLE")
      continue()
    endif()
    get_target_property(sources ${target} SOURCES)
    list(TRANSFORM sources PREPEND ${directory}/ REGEX "^[^/]")
    list(FILTER sources EXCLUDE REGEX "^${CMAKE_BINARY_DIR}/") # generated
    execute_process(COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/support/unity-groups ${CMAKE_SOURCE_DIR} ${sources}
                    OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "[^\n]+" lines "${lines}")
    foreach(line ${lines})
      string(REGEX MATCH "^([0-9]+) (.*)$" _ ${line})
      set_source_files_properties(${CMAKE_MATCH_2} DIRECTORY ${directory} PROPERTIES UNITY_GROUP "${target}_${CMAKE_MATCH_1}")
    endforeach()
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    # A class that has a member of a type in an unnamed namespace is no mistake in a .cpp file, which a unity source includes.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    endif()
  endforeach()
endfunction()

compile_together(${CMAKE_SOURCE_DIR})
