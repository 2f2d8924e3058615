#!/bin/bash
 
count=`mysql -N -h127.0.0.1 -P2345 -uuser -ppwd -e "select * from backends;" | wc -l`
 
if [[ "$count" == "1" ]];then
  result=`mysql -hserver1 -P3306 -uroot -pXp29at5F37 -e 'show slave status\G'`
  if echo "$result" | grep Slave_IO_State;then
    slaveIP=192.168.1.100
  else
    result=`mysql -hserver2 -P3306 -uroot -pXp29at5F37 -e 'show slave status\G'`
    slaveIP=192.168.1.101
  fi
 
        slaveIORunning=`echo "$result" | awk -F':' '/Slave_IO_Running:/{print $2}'`
        slaveSQLRunning=`echo "$result" | awk -F':' '/Slave_SQL_Running:/{print $2}'`
        SlaveSQLRunning_State=`echo "$result" | awk -F':' '/Slave_SQL_Running_State:/{print $2}'`
    
  if [[ "$slaveIORunning" =~ "Yes" && "$slaveSQLRunning" =~ "Yes" && "$SlaveSQLRunning_State" =~ "Slave has read all relay log" ]];then
    mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "add slave ${slaveIP}:3306;"
  fi
fi
